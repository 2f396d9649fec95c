/* As much of UEFI as the program beside this needs. */
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32; typedef unsigned long long u64; typedef short s16;
typedef struct { u32 a; u16 b, c; u8 d[8]; } guid;
typedef struct { u16 year; u8 month, day, hour, minute, second, pad; u32 ns; s16 zone; u8 daylight, pad2; } efi_time;
typedef struct { u64 size, file_size, physical; efi_time times[3]; u64 attribute; u16 name[200]; } file_info;
typedef u64 status;
#define ABI __attribute__((ms_abi))
#define CALL(object, offset, ...) (((status(ABI *)())(*(void **)((u8 *)(object) + (offset))))(__VA_ARGS__))
#define BOOT(number, ...) CALL(boot_services, 24 + 8 * (number), __VA_ARGS__)
#define RUN(number, ...) CALL(runtime_services, 24 + 8 * (number), __VA_ARGS__)
enum { CREATE_EVENT = 7, HANDLE_PROTOCOL = 16, LOCATE_PROTOCOL = 37, INSTALL_TABLE = 21, CREATE_EVENT_EX = 43 };
enum { GET_TIME, SET_TIME, NEXT_NAME = 7, QUERY_INFO = 13 };
enum { OPEN = 8, CLOSE = 16, READ = 32, WRITE = 40, GET_INFO = 64, SET_INFO = 72, FLUSH = 80 };
