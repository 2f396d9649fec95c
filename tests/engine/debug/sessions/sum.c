typedef unsigned long long u64;
typedef struct { char h[24]; u64 vendor; unsigned rev; unsigned pad; u64 cinh; u64 cin; u64 couth; struct out *con_out; } systab;
struct out { u64 reset; u64 (__attribute__((ms_abi)) *print)(struct out *, unsigned short *); };
volatile u64 total;
volatile u64 *volatile where = &total;
static u64 __attribute__((noinline)) add_up(u64 first, u64 count)
{
    u64 sum = 0;
    for (u64 i = 0; i < count; i++) {
        sum += first + i;
        total = sum;
    }
    return sum;
}
u64 __attribute__((ms_abi)) efi_main(void *image, systab *table)
{
    static unsigned short text[] = {'s','u','m',' ','0','\r','\n',0};
    u64 sum = add_up(1, 4);
    text[4] = '0' + sum % 10;
    table->con_out->print(table->con_out, text);
    return 0;
}
