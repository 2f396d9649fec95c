/* The rules of UEFI that a firmware's tests ask for, one line of output each. */
#include "efi.h"
static void *boot_services, *runtime_services, *console;
static volatile u64 hits;
static guid loaded_image = {0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static guid file_system = {0x964e5b22, 0x6459, 0x11d2, {0x8e, 0x39, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static guid info_guid = {0x09576e92, 0x6d3f, 0x11d2, {0x8e, 0x39, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static guid to_text = {0x8b843e20, 0x8132, 0x4852, {0x90, 0xcc, 0x55, 0x1a, 0x4e, 0x4a, 0x7f, 0x1c}};
static guid own = {0x5a1b1b52, 0x7a0f, 0x4f0e, {1, 2, 3, 4, 5, 6, 7, 8}};
static void ABI hit(void *event, void *context) { hits++; }
static void put(const u16 *text) { CALL(console, 8, console, text); }
static void line(const u16 *what, u64 value) {
  u16 text[24], *at = text + 23;
  *at = 0;
  do *--at = L"0123456789ABCDEF"[value & 15]; while (value >>= 4);
  put(what); put(at); put(L"\r\n");
}
status ABI efi_main(void *image, u8 *table) {
  u8 *loaded; void *volume, *root, *file, *event, *text; u64 size, a, b, c; efi_time time; u16 name[64]; guid vendor; file_info info;
  u8 nvme[] = {3, 23, 16, 0, 0xEF, 0x4B, 0x12, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01, 0xEF, 0xCD, 0xAB, 0x7f, 0xff, 4, 0};
  u8 ipv4[] = {3, 12, 27, 0, 10, 0, 2, 15, 10, 0, 2, 2, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 4, 0};
  boot_services = *(void **)(table + 96); runtime_services = *(void **)(table + 88); console = *(void **)(table + 64);
  BOOT(HANDLE_PROTOCOL, image, &loaded_image, &loaded);
  BOOT(HANDLE_PROTOCOL, *(void **)(loaded + 24), &file_system, &volume);
  CALL(volume, 8, volume, &root);
  line(L"create ", CALL(root, OPEN, root, &file, L"t1.txt", (u64)1 << 63 | 3, (u64)0));
  size = 5; line(L"write ", CALL(file, WRITE, file, &size, "hello"));
  size = sizeof info; CALL(file, GET_INFO, file, &info_guid, &size, &info); info.attribute |= 1;
  line(L"set read-only ", CALL(file, SET_INFO, file, &info_guid, size, &info));
  line(L"close ", CALL(file, CLOSE, file));
  CALL(root, OPEN, root, &file, L"t1.txt", (u64)1, (u64)0);
  size = sizeof info; CALL(file, GET_INFO, file, &info_guid, &size, &info); line(L"1 size ", info.file_size);
  line(L"2 flush ", CALL(file, FLUSH, file));
  line(L"3 set info ", CALL(file, SET_INFO, file, &info_guid, (u64)79, &info));
  CALL(file, CLOSE, file);
  line(L"4 query NV ", RUN(QUERY_INFO, (u64)1, &a, &b, &c)); line(L"4 query RT ", RUN(QUERY_INFO, (u64)4, &a, &b, &c));
  name[0] = 0; size = sizeof name; RUN(NEXT_NAME, &size, name, &vendor);
  size = 4; line(L"5 next name ", RUN(NEXT_NAME, &size, name, &vendor));
  RUN(GET_TIME, &time, (void *)0); time.zone = 1441; line(L"6 zone 1441 ", RUN(SET_TIME, &time));
  time.zone = 60; time.daylight = 3; line(L"7 zone 60 ", RUN(SET_TIME, &time)); RUN(GET_TIME, &time, (void *)0);
  line(L"7 zone ", (u64)time.zone); line(L"7 daylight ", time.daylight);
  time.year = 1899; line(L"8 year 1899 ", RUN(SET_TIME, &time));
  BOOT(CREATE_EVENT_EX, (u64)0x200, (u64)8, hit, (void *)0, &own, &event);
  line(L"9 install ", BOOT(INSTALL_TABLE, &own, &info)); line(L"9 notified ", hits); BOOT(INSTALL_TABLE, &own, (void *)0);
  BOOT(LOCATE_PROTOCOL, &to_text, (void *)0, &text);
  put((u16 *)CALL(text, 8, (void *)nvme, (u64)0, (u64)0)); put(L"\r\n");
  put((u16 *)CALL(text, 8, (void *)ipv4, (u64)0, (u64)0)); put(L"\r\n");
  return 0;
}
