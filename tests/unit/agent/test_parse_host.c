/* The host's metrics from the /proc of several kernels, and from what no kernel writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "host_lines.h"

static void expect_lines(struct host_lines *lines, const char *expected) {
    buffer_append_char(&lines->text, '\0');
    assert_false(lines->text.failed);
    assert_string_equal(lines->text.data, expected);
    host_lines_finish(lines);
    *lines = HOST_LINES_EMPTY;
}

static void expect_begin(const struct host_lines *lines, const char *expected) {
    assert_true(text_starts_with(buffer_text(&lines->text), text_of(expected)));
}

/* --- /proc/stat --- */

static const char stat_618[] = "cpu  36132 695 36023 91925 950 0 439 31 0 0\n"
                               "cpu0 17222 353 17435 47830 186 0 43 13 4 2\n"
                               "cpu11 18909 342 18587 44094 763 0 396 18 0 0\n"
                               "intr 3319529 0 0 0 25 1 1 12\n"
                               "ctxt 9167246\n"
                               "btime 1795612607\n"
                               "processes 41819\n"
                               "procs_running 8\n"
                               "procs_blocked 1\n"
                               "softirq 1034075 0 89446 5 10606 351451 0 7 193852 0 388708\n";

static void reads_stat_of_linux_6(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    assert_int_equal(parse_host_stat(text_of(stat_618), NULL, host_lines_sink, &lines), 0);
    expect_lines(&lines, "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 172.22\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 3.53\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 174.35\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 478.3\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 1.86\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"irq\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"softirq\"} 0.43\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0.13\n"
                         "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.04\n"
                         "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0.02\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"user\"} 189.09\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"nice\"} 3.42\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"system\"} 185.87\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"idle\"} 440.94\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"iowait\"} 7.63\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"irq\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"softirq\"} 3.96\n"
                         "node_cpu_seconds_total{cpu=\"11\",mode=\"steal\"} 0.18\n"
                         "node_cpu_guest_seconds_total{cpu=\"11\",mode=\"user\"} 0.0\n"
                         "node_cpu_guest_seconds_total{cpu=\"11\",mode=\"nice\"} 0.0\n"
                         "node_intr_total 3319529.0\n"
                         "node_context_switches_total 9167246.0\n"
                         "node_boot_time_seconds 1795612607.0\n"
                         "node_forks_total 41819.0\n"
                         "node_procs_running 8.0\n"
                         "node_procs_blocked 1.0\n");
}

static void reads_stat_of_old_kernels(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    /* 2.6.32 has no guest_nice; 2.4 had four modes */
    assert_int_equal(
        parse_host_stat(
            TEXT_LITERAL("cpu0 100 200 300 400 500 600 700 800 900\ncpu1 1 2 3 4\npage 5741 1808\nctxt 5\n"), NULL,
            host_lines_sink, &lines),
        0);
    expect_lines(&lines, "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 2.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 3.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 4.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 5.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"irq\"} 6.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"softirq\"} 7.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 8.0\n"
                         "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 9.0\n"
                         "node_cpu_seconds_total{cpu=\"1\",mode=\"user\"} 0.01\n"
                         "node_cpu_seconds_total{cpu=\"1\",mode=\"nice\"} 0.02\n"
                         "node_cpu_seconds_total{cpu=\"1\",mode=\"system\"} 0.03\n"
                         "node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 0.04\n"
                         "node_context_switches_total 5.0\n");
}

static void passes_over_what_stat_never_says(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    struct host_cpus cpus = { 0 };
    assert_int_equal(parse_host_stat(TEXT_LITERAL("cpu\ncpu0\ncpu1 1 2 3\ncpux 1 2 3 4\ncpu0x 1 2 3 4\n"
                                                  "cpu99999999999 1 2 3 4\ncpu65536 1 2 3 4\ncpu2 1 2 3 -4\n"
                                                  "ctxt\nctxt x\nbtime 18446744073709551616\n\n \nintr"),
                                     &cpus, host_lines_sink, &lines),
                     0);
    assert_int_equal(lines.count, 0);
    assert_int_equal(cpus.count, 0);
    assert_int_equal(parse_host_stat(TEXT_EMPTY, &cpus, host_lines_sink, &lines), 0);
    assert_int_equal(parse_host_stat(TEXT_LITERAL("ctxt 18446744073709551615"), &cpus, host_lines_sink, &lines), 0);
    expect_lines(&lines, "node_context_switches_total 1.8446744073709552e+19\n");
    host_cpus_finish(&cpus);
}

static void lets_no_cpu_counter_run_backwards(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    struct host_cpus cpus = { 0 };
    assert_int_equal(parse_host_stat(TEXT_LITERAL("cpu0 100 0 0 1000 50\n"), &cpus, host_lines_sink, &lines), 0);
    host_lines_finish(&lines);
    lines = HOST_LINES_EMPTY;
    /* iowait falls, idle falls by 2.99 s: both stay */
    assert_int_equal(parse_host_stat(TEXT_LITERAL("cpu0 110 0 0 701 49\n"), &cpus, host_lines_sink, &lines), 0);
    expect_lines(&lines, "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1.1\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 10.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 0.5\n");
    /* idle falls by 3 s: the CPU was away, all begins anew; one beyond it is another's matter */
    assert_int_equal(parse_host_stat(TEXT_LITERAL("cpu3 1 1 1 1\ncpu0 5 0 0 700 1\n"), &cpus, host_lines_sink, &lines),
                     0);
    expect_lines(&lines, "node_cpu_seconds_total{cpu=\"3\",mode=\"user\"} 0.01\n"
                         "node_cpu_seconds_total{cpu=\"3\",mode=\"nice\"} 0.01\n"
                         "node_cpu_seconds_total{cpu=\"3\",mode=\"system\"} 0.01\n"
                         "node_cpu_seconds_total{cpu=\"3\",mode=\"idle\"} 0.01\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.05\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 0.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 7.0\n"
                         "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 0.01\n");
    host_cpus_finish(&cpus);
}

/* --- load, pressure, open files, single numbers, uname --- */

static void reads_load(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    static const char *const refused[] = { "",
                                           "0.01",
                                           "0.01 0.02",
                                           "1 2 3",
                                           "1. .2 3.0",
                                           "x.1 0.1 0.1",
                                           "1.1x 1.1 1.1",
                                           "-1.0 1.0 1.0",
                                           "12345678901.0 1.0 1.0",
                                           "nan nan nan",
                                           "1.1 1.1 1.1234567890" };
    assert_int_equal(parse_host_load(TEXT_LITERAL("2.81 12.40 0.07 1/137 9364\n"), host_lines_sink, &lines), 0);
    expect_lines(&lines, "node_load1 2.81\nnode_load5 12.4\nnode_load15 0.07\n");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(parse_host_load(text_of(refused[i]), host_lines_sink, &lines), 0);
    assert_int_equal(lines.count, 0);
}

static void reads_pressure(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    const struct text file = TEXT_LITERAL("some avg10=0.54 avg60=1.62 avg300=1.49 total=13724243\n"
                                          "full avg10=0.11 avg60=0.50 avg300=0.36 total=6487142\n");
    parse_host_pressure(file, HOST_PRESSURE_IO_WAITING, HOST_PRESSURE_IO_STALLED, host_lines_sink, &lines);
    parse_host_pressure(file, HOST_PRESSURE_CPU_WAITING, HOST_FAMILY_COUNT, host_lines_sink, &lines);
    expect_lines(&lines, "node_pressure_io_waiting_seconds_total 13.724243\n"
                         "node_pressure_io_stalled_seconds_total 6.487142\n"
                         "node_pressure_cpu_waiting_seconds_total 13.724243\n");
    parse_host_pressure(TEXT_LITERAL("some total=\nfull total=-1\nmost total=1\nsome\n\nfull avg10=1"),
                        HOST_PRESSURE_IO_WAITING, HOST_PRESSURE_IO_STALLED, host_lines_sink, &lines);
    assert_int_equal(lines.count, 0);
}

static void reads_open_files_and_numbers(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    parse_host_files(TEXT_LITERAL("1331\t0\t9223372036854775807\n"), host_lines_sink, &lines);
    parse_host_number(TEXT_LITERAL("256\n"), HOST_ENTROPY_AVAILABLE, host_lines_sink, &lines);
    parse_host_number(TEXT_LITERAL("4096"), HOST_ENTROPY_POOL_SIZE, host_lines_sink, &lines);
    expect_lines(&lines, "node_filefd_allocated 1331.0\nnode_filefd_maximum 9.223372036854776e+18\n"
                         "node_entropy_available_bits 256.0\nnode_entropy_pool_size_bits 4096.0\n");
    parse_host_files(TEXT_LITERAL("1331\t0\n2466177"), host_lines_sink, &lines);
    parse_host_files(TEXT_EMPTY, host_lines_sink, &lines);
    parse_host_number(TEXT_LITERAL("256 1\n"), HOST_ENTROPY_AVAILABLE, host_lines_sink, &lines);
    parse_host_number(TEXT_LITERAL("\n256\n"), HOST_ENTROPY_AVAILABLE, host_lines_sink, &lines);
    assert_int_equal(lines.count, 0);
}

static void tells_who_the_host_is(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    static const struct utsname names = { .sysname = "Linux",
                                          .nodename = "vm",
                                          .release = "6.1.0-13-amd64",
                                          .version = "#1 SMP",
                                          .machine = "x86_64",
                                          .domainname = "(none)" };
    host_uname(&names, host_lines_sink, &lines);
    expect_lines(&lines, "node_uname_info{domainname=\"(none)\",machine=\"x86_64\",nodename=\"vm\","
                         "release=\"6.1.0-13-amd64\",sysname=\"Linux\",version=\"#1 SMP\"} 1.0\n");
}

/* --- memory --- */

static void reads_meminfo_and_its_odd_names(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    parse_host_memory(TEXT_LITERAL("MemTotal:       24684092 kB\n"
                                   "Active(anon):      1668 kB\n"
                                   "Committed_AS:    389852 kB\n"
                                   "VmallocTotal:   34359738367 kB\n"
                                   "HugePages_Total:       3\n"
                                   "DirectMap1G:    25165824 kB\n"),
                      host_lines_sink, &lines);
    expect_lines(&lines, "node_memory_MemTotal_bytes 25276510208.0\n"
                         "node_memory_Active_anon_bytes 1708032.0\n"
                         "node_memory_Committed_AS_bytes 399208448.0\n"
                         "node_memory_VmallocTotal_bytes 35184372087808.0\n"
                         "node_memory_HugePages_Total 3.0\n"
                         "node_memory_DirectMap1G_bytes 25769803776.0\n");
    parse_host_memory(TEXT_LITERAL("        total:    used:    free:\n" /* 2.4 */
                                   "Mem:  513 x\nMemFree:\n:  1 kB\nMemFree 1 kB\n(): \n"
                                   "MemX: 1 MB\n): 1 kB\n"
                                   "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1 kB\n"),
                      host_lines_sink, &lines);
    assert_int_equal(lines.count, 0);
    parse_host_memory(TEXT_LITERAL("Mem-Free: 1 kB\nX\xff: 2 kB\nA(b)c: 3 kB\n"), host_lines_sink, &lines);
    expect_lines(&lines, "node_memory_Mem_Free_bytes 1024.0\n" /* repaired */
                         "node_memory_X__bytes 2048.0\n"
                         "node_memory_A_b_c_bytes 3072.0\n");
}

static void reads_of_vmstat_what_node_exporter_does(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    parse_host_vmstat(
        TEXT_LITERAL("nr_free_pages 5599009\npgpgin 1539049\npgpgout 4561044\npswpin 1\npswpout 2\n"
                     "pgalloc_normal 3\npgfault 15927507\npgmajfault 1764\nthp_fault_alloc 9\noom_kill 0\n"
                     "pgfault\npgfault x\npg(fault) 1\npgfa\nfault 1\n"),
        host_lines_sink, &lines);
    expect_lines(&lines, "node_vmstat_pgpgin 1539049.0\nnode_vmstat_pgpgout 4561044.0\nnode_vmstat_pswpin 1.0\n"
                         "node_vmstat_pswpout 2.0\nnode_vmstat_pgfault 15927507.0\nnode_vmstat_pgmajfault 1764.0\n"
                         "node_vmstat_oom_kill 0.0\nnode_vmstat_pg_fault 1.0\n");
}

/* --- devices --- */

static void reads_disks_with_as_many_columns_as_the_kernel_has(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    parse_host_disks(
        TEXT_LITERAL(" 254       0 vda 66356 7644 3139418 32893 367554 44328 9212456 83166 14 31252 125529 "
                     "29912 48 4811896 3115 73258 6353\n"         /* 5.5 and later */
                     "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n" /* before 4.18 */
                     "   8       1 sda1 1 2 3 4\n"),              /* 2.6.24 and before: nothing that fits the names */
        host_lines_sink, &lines);
    expect_lines(&lines, "node_disk_reads_completed_total{device=\"vda\"} 66356.0\n"
                         "node_disk_reads_merged_total{device=\"vda\"} 7644.0\n"
                         "node_disk_read_bytes_total{device=\"vda\"} 1607382016.0\n"
                         "node_disk_read_time_seconds_total{device=\"vda\"} 32.893\n"
                         "node_disk_writes_completed_total{device=\"vda\"} 367554.0\n"
                         "node_disk_writes_merged_total{device=\"vda\"} 44328.0\n"
                         "node_disk_written_bytes_total{device=\"vda\"} 4716777472.0\n"
                         "node_disk_write_time_seconds_total{device=\"vda\"} 83.166\n"
                         "node_disk_io_now{device=\"vda\"} 14.0\n"
                         "node_disk_io_time_seconds_total{device=\"vda\"} 31.252\n"
                         "node_disk_io_time_weighted_seconds_total{device=\"vda\"} 125.529\n"
                         "node_disk_discards_completed_total{device=\"vda\"} 29912.0\n"
                         "node_disk_discards_merged_total{device=\"vda\"} 48.0\n"
                         "node_disk_discarded_sectors_total{device=\"vda\"} 4811896.0\n"
                         "node_disk_discard_time_seconds_total{device=\"vda\"} 3.115\n"
                         "node_disk_flush_requests_total{device=\"vda\"} 73258.0\n"
                         "node_disk_flush_requests_time_seconds_total{device=\"vda\"} 6.353\n"
                         "node_disk_reads_completed_total{device=\"sda\"} 1.0\n"
                         "node_disk_reads_merged_total{device=\"sda\"} 2.0\n"
                         "node_disk_read_bytes_total{device=\"sda\"} 1536.0\n"
                         "node_disk_read_time_seconds_total{device=\"sda\"} 0.004\n"
                         "node_disk_writes_completed_total{device=\"sda\"} 5.0\n"
                         "node_disk_writes_merged_total{device=\"sda\"} 6.0\n"
                         "node_disk_written_bytes_total{device=\"sda\"} 3584.0\n"
                         "node_disk_write_time_seconds_total{device=\"sda\"} 0.008\n"
                         "node_disk_io_now{device=\"sda\"} 9.0\n"
                         "node_disk_io_time_seconds_total{device=\"sda\"} 0.01\n"
                         "node_disk_io_time_weighted_seconds_total{device=\"sda\"} 0.011\n");
}

static void leaves_out_the_disks_that_node_exporter_leaves_out(void **state) {
    (void)state;
    static const char *const in[] = { "sda",    "vdb",       "xvda",  "nvme0n1", "nvme10n12", "dm-0",
                                      "md127",  "mmcblk0p1", "sr0",   "sdaa1",   "zram0",     "ram",
                                      "loop",   "fd",        "nbd0",  "nvme0p1", "nvmen1p1",  "nvme0n1px1",
                                      "nvme0n", "nvme0np1",  "xsda1", "s1",      "1",         "xvd1",
                                      "sd1",    "sdA1" };
    static const char *const out[] = { "sda1",  "hdz15", "vda3",      "xvda1",       "ram0",
                                       "loop7", "fd0",   "nvme0n1p1", "nvme10n12p34" };
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]) + sizeof(out) / sizeof(out[0]); i++) {
        bool wanted = i < sizeof(in) / sizeof(in[0]);
        struct host_lines lines = HOST_LINES_EMPTY;
        struct buffer line = BUFFER_EMPTY;
        const char *name = wanted ? in[i] : out[i - sizeof(in) / sizeof(in[0])];
        buffer_append_format(&line, "8 0 %s 1 2 3 4 5 6 7 8 9 10 11", name);
        parse_host_disks(buffer_text(&line), host_lines_sink, &lines);
        if ((lines.count > 0) != wanted)
            fail_msg("%s: %zu samples", name, lines.count);
        buffer_finish(&line);
        host_lines_finish(&lines);
    }
}

static const char net_header[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n";

static void reads_network_devices(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    struct buffer file = BUFFER_EMPTY;
    buffer_append_string(&file, net_header);
    buffer_append_string(&file,
                         "  eth0: 358299636    8190    1    2    3     4          5         6   424941    5452    7 "
                         "   8    9    10      11         12\n");
    parse_host_network(buffer_text(&file), host_lines_sink, &lines);
    expect_lines(&lines, "node_network_receive_bytes_total{device=\"eth0\"} 358299636.0\n"
                         "node_network_receive_packets_total{device=\"eth0\"} 8190.0\n"
                         "node_network_receive_errs_total{device=\"eth0\"} 1.0\n"
                         "node_network_receive_drop_total{device=\"eth0\"} 2.0\n"
                         "node_network_receive_fifo_total{device=\"eth0\"} 3.0\n"
                         "node_network_receive_frame_total{device=\"eth0\"} 4.0\n"
                         "node_network_receive_compressed_total{device=\"eth0\"} 5.0\n"
                         "node_network_receive_multicast_total{device=\"eth0\"} 6.0\n"
                         "node_network_transmit_bytes_total{device=\"eth0\"} 424941.0\n"
                         "node_network_transmit_packets_total{device=\"eth0\"} 5452.0\n"
                         "node_network_transmit_errs_total{device=\"eth0\"} 7.0\n"
                         "node_network_transmit_drop_total{device=\"eth0\"} 8.0\n"
                         "node_network_transmit_fifo_total{device=\"eth0\"} 9.0\n"
                         "node_network_transmit_colls_total{device=\"eth0\"} 10.0\n"
                         "node_network_transmit_carrier_total{device=\"eth0\"} 11.0\n"
                         "node_network_transmit_compressed_total{device=\"eth0\"} 12.0\n");
    /* 2.6: no space behind the colon, and an alias with a colon of its own; a device of any bytes is repaired */
    parse_host_network(TEXT_LITERAL("eth0:1:4294967295 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"), host_lines_sink,
                       &lines);
    assert_int_equal(lines.count, 16);
    expect_begin(&lines, "node_network_receive_bytes_total{device=\"eth0:1\"} 4294967295.0\n");
    host_lines_finish(&lines);
    lines = HOST_LINES_EMPTY;
    parse_host_network(TEXT_LITERAL("\xff"
                                    "1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"),
                       host_lines_sink, &lines);
    assert_int_equal(lines.count, 16);
    expect_begin(&lines, "node_network_receive_bytes_total{device=\"\xef\xbf\xbd"
                         "1\"} 1.0\n");
    host_lines_finish(&lines);
    lines = HOST_LINES_EMPTY;
    parse_host_network(
        TEXT_LITERAL("\n:\n: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\na b: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                     "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\neth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x\n"),
        host_lines_sink, &lines);
    assert_int_equal(lines.count, 0);
    buffer_finish(&file);
}

/* --- file systems --- */

static int keep_mount(void *context, const struct host_mount *mount) {
    buffer_append_format(context, "%.*s|%.*s|%.*s|%s\n", TEXT_FORMAT(mount->device), TEXT_FORMAT(mount->path),
                         TEXT_FORMAT(mount->type), mount->read_only ? "ro" : "rw");
    return 0;
}

static void reads_mounts_that_hold_data(void **state) {
    (void)state;
    struct buffer found = BUFFER_EMPTY;
    static const char file[] = "proc /proc proc rw,relatime 0 0\n"
                               "/dev/vda / ext4 rw,relatime,errors=remount-ro 0 0\n"
                               "tmpfs /dev/shm tmpfs rw 0 0\n"
                               "tmpfs /run tmpfs rw 0 0\n"
                               "none /run/credentials/systemd-sysusers.service ramfs ro 0 0\n"
                               "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
                               "overlay /var/lib/docker/overlay2/1/merged overlay rw 0 0\n"
                               "/dev/vdb /var/lib/docker xfs rw 0 0\n"
                               "shm /var/lib/docker/containers/1/shm tmpfs rw 0 0\n"
                               "/dev/vdc /var/lib/containers/storage/x btrfs rw 0 0\n"
                               "server:/a\\040b /mnt/my\\040disk\\011\\134x nfs4 rw,ro 0 0\n"
                               "systemd-1 /misc autofs rw 0 0\n"
                               "/dev/sdb /device vfat rw 0 0\n"
                               "/dev/sdc /system\\09 vfat ro,x\n";
    assert_int_equal(parse_host_mounts(text_of(file), keep_mount, &found), 0);
    buffer_append_char(&found, '\0');
    assert_string_equal(found.data, "/dev/vda|/|ext4|rw\n"
                                    "tmpfs|/run|tmpfs|rw\n"
                                    "/dev/vdb|/var/lib/docker|xfs|rw\n"
                                    "server:/a b|/mnt/my disk\t\\x|nfs4|ro\n"
                                    "/dev/sdb|/device|vfat|rw\n"
                                    "/dev/sdc|/system\\09|vfat|ro\n");
    buffer_finish(&found);
}

static void passes_over_mounts_that_make_no_sense(void **state) {
    (void)state;
    struct buffer found = BUFFER_EMPTY;
    struct buffer file = BUFFER_EMPTY;
    buffer_append_string(&file, "\n/dev/vda\n/dev/vda / ext4\n/dev/vda /a\\000b ext4 rw 0 0\n/dev/vda /");
    for (size_t i = 0; i < HOST_PATH_MAX; i++)
        buffer_append_char(&file, 'x');
    buffer_append_string(&file, " ext4 rw 0 0\n");
    assert_int_equal(parse_host_mounts(buffer_text(&file), keep_mount, &found), 0);
    assert_int_equal(found.length, 0);
    buffer_finish(&file);
}

static void tells_the_space_of_a_file_system(void **state) {
    (void)state;
    struct host_lines lines = HOST_LINES_EMPTY;
    const struct host_mount mount = { TEXT_LITERAL("/dev/vda"), TEXT_LITERAL("/caf\xe9"), TEXT_LITERAL("ext4"), true };
    const struct statvfs space = { .f_bsize = 65536,
                                   .f_frsize = 4096,
                                   .f_blocks = 1000,
                                   .f_bfree = 100,
                                   .f_bavail = 50,
                                   .f_files = 2000,
                                   .f_ffree = 1500 };
    host_file_system(&mount, &space, host_lines_sink, &lines);
    host_file_system(&mount, NULL, host_lines_sink, &lines);
#define LABELS "{device=\"/dev/vda\",fstype=\"ext4\",mountpoint=\"/caf\xef\xbf\xbd\"} "
    expect_lines(&lines, "node_filesystem_device_error" LABELS "0.0\n"
                         "node_filesystem_readonly" LABELS "1.0\n"
                         "node_filesystem_size_bytes" LABELS "4096000.0\n"
                         "node_filesystem_free_bytes" LABELS "409600.0\n"
                         "node_filesystem_avail_bytes" LABELS "204800.0\n"
                         "node_filesystem_files" LABELS "2000.0\n"
                         "node_filesystem_files_free" LABELS "1500.0\n"
                         "node_filesystem_device_error" LABELS "1.0\n"
                         "node_filesystem_readonly" LABELS "1.0\n");
}

/* --- what goes into the ring --- */

static void makes_updates_that_may_be_sent(void **state) {
    (void)state;
    struct host_update_room room = { 0 };
    struct record_metric_update update;
    char field[HOST_FIELD_MAX];
    memset(field, 'f', sizeof(field));
    for (unsigned i = 0; i < HOST_FAMILY_COUNT; i++) {
        struct host_sample sample = { .family = (enum host_family)i, .field = { field, sizeof(field) } };
        struct error error = { "" };
        assert_false(host_update_make(&sample, &room, &update));
        assert_int_equal(update.naming, METRIC_NAMING_VERBATIM);
        assert_int_equal(update.operation, METRIC_SET);
        struct metric_definition definition = { .kind = update.metric_kind,
                                                .naming = update.naming,
                                                .name = update.name,
                                                .unit = update.unit,
                                                .help = update.help };
        if (metric_definition_check(&definition, &error) != 0)
            fail_msg("%s", error.text);
        bool total = update.name.length > 6 && memcmp(update.name.data + update.name.length - 6, "_total", 6) == 0;
        assert_int_equal(total, update.metric_kind == METRIC_COUNTER);
        assert_null(memchr(update.name.data, '*', update.name.length));
        assert_null(memchr(update.help.data, '*', update.help.length));
        assert_true(update.help.length > 0);
        if (update.unit.length > 0) /* as OpenMetrics wants it: the name says it */
            assert_non_null(memmem(update.name.data, update.name.length, update.unit.data, update.unit.length));
    }
    struct host_sample memory = { .family = HOST_MEMORY_BYTES, .field = TEXT_LITERAL("MemFree") };
    assert_false(host_update_make(&memory, &room, &update));
    assert_true(text_is(update.help, "Memory information field MemFree_bytes."));
    struct host_sample nul = { .family = HOST_LOAD1,
                               .labels = { { TEXT_LITERAL("a"), { "\0", 1 } } },
                               .label_count = 1 };
    assert_true(host_update_make(&nul, &room, &update));
    assert_true(text_is(metric_labels_find(update.labels, TEXT_LITERAL("a")), "\xef\xbf\xbd"));
    struct host_sample odd = { .family = HOST_MEMORY_BYTES, .field = TEXT_LITERAL("Huge-1G\xff") };
    assert_true(host_update_make(&odd, &room, &update));
    assert_true(text_is(update.name, "node_memory_Huge_1G__bytes"));
    assert_true(text_is(update.help, "Memory information field Huge_1G__bytes."));
}

static void ends_when_the_sink_says_so(void **state) {
    (void)state;
    struct host_lines lines = { .stop_after = 3 };
    assert_int_equal(parse_host_stat(text_of(stat_618), NULL, host_lines_sink, &lines), STOPPED);
    assert_int_equal(lines.count, 3);
    host_lines_finish(&lines);
    lines = (struct host_lines) { .stop_after = 1 };
    assert_int_equal(parse_host_load(TEXT_LITERAL("1.0 1.0 1.0"), host_lines_sink, &lines), STOPPED);
    lines.count = 0;
    assert_int_equal(parse_host_files(TEXT_LITERAL("1 2 3"), host_lines_sink, &lines), STOPPED);
    lines.count = 0;
    assert_int_equal(parse_host_memory(TEXT_LITERAL("A: 1\nB: 1\n"), host_lines_sink, &lines), STOPPED);
    lines.count = 0;
    assert_int_equal(parse_host_vmstat(TEXT_LITERAL("pgpgin 1\npgpgout 1\n"), host_lines_sink, &lines), STOPPED);
    lines.count = 0;
    assert_int_equal(parse_host_disks(TEXT_LITERAL("8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n"), host_lines_sink, &lines),
                     STOPPED);
    lines.count = 0;
    assert_int_equal(
        parse_host_network(TEXT_LITERAL("a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"), host_lines_sink, &lines),
        STOPPED);
    lines.count = 0;
    assert_int_equal(parse_host_pressure(TEXT_LITERAL("some total=1\nsome total=1\n"), HOST_PRESSURE_IO_WAITING,
                                         HOST_FAMILY_COUNT, host_lines_sink, &lines),
                     STOPPED);
    host_lines_finish(&lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stat_of_linux_6),
        cmocka_unit_test(reads_stat_of_old_kernels),
        cmocka_unit_test(passes_over_what_stat_never_says),
        cmocka_unit_test(lets_no_cpu_counter_run_backwards),
        cmocka_unit_test(reads_load),
        cmocka_unit_test(reads_pressure),
        cmocka_unit_test(reads_open_files_and_numbers),
        cmocka_unit_test(tells_who_the_host_is),
        cmocka_unit_test(reads_meminfo_and_its_odd_names),
        cmocka_unit_test(reads_of_vmstat_what_node_exporter_does),
        cmocka_unit_test(reads_disks_with_as_many_columns_as_the_kernel_has),
        cmocka_unit_test(leaves_out_the_disks_that_node_exporter_leaves_out),
        cmocka_unit_test(reads_network_devices),
        cmocka_unit_test(reads_mounts_that_hold_data),
        cmocka_unit_test(passes_over_mounts_that_make_no_sense),
        cmocka_unit_test(tells_the_space_of_a_file_system),
        cmocka_unit_test(makes_updates_that_may_be_sent),
        cmocka_unit_test(ends_when_the_sink_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
