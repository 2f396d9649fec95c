"""Words of a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.script.lexer import find_pipe, lex, split_words


def test_quotes_group_and_vanish() -> None:
    assert split_words('c"d e"f "a  b"') == ["cd ef", "a  b"]


def test_quotes_stay_for_script_arguments() -> None:
    assert split_words('x "a b"', keep_quotes=True) == ["x", '"a b"']


def test_a_caret_takes_the_next_character_as_it_is() -> None:
    assert split_words('^^ ^" ^a') == ["^", '"', "a"]


def test_a_line_with_an_open_quote_has_no_words() -> None:
    assert split_words('echo "abc') is None


def test_a_half_typed_word_lexes_and_says_so() -> None:
    token = lex('type "long na')[-1]
    assert (token.text, token.closed, token.column) == ("long na", False, 6)


def test_tokens_know_their_line_and_column() -> None:
    tokens = lex("  echo hi", line=7, column=3)
    assert [(token.line, token.column) for token in tokens] == [(7, 5), (7, 10)]


def test_a_pipe_in_quotes_is_text() -> None:
    assert find_pipe('echo "a | b" c') == -1
    assert find_pipe('echo "a | b" | c') == 13


def test_a_quote_that_never_closes_protects_no_pipe() -> None:
    assert find_pipe('echo "a | b') == 8


def test_an_escaped_pipe_is_text() -> None:
    assert find_pipe("echo a ^| b") == -1


@given(st.text(alphabet='ab "^|%#\t', max_size=60))
def test_any_line_lexes_and_tokens_cover_it_in_order(text: str) -> None:
    end = 0
    for token in lex(text):
        assert text[end : token.start].strip(" ") == ""
        assert text[token.start : token.end] == token.raw
        end = token.end
    assert text[end:].strip(" ") == ""
    assert -1 <= find_pipe(text) < len(text) or not text
