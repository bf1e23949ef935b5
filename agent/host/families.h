/* families.h - the host's metrics in one table: name, kind, unit, help. What is documented of them is written from here.
 *
 * Names, kinds and help texts are those of Prometheus node_exporter (github.com/prometheus/node_exporter), so that every
 * dashboard and rule made for it finds them. A name with '*' is a family for each field of a /proc file: the field stands
 * for the '*' in name and help.
 */
#ifndef TASKFORGE_AGENT_HOST_FAMILIES_H
#define TASKFORGE_AGENT_HOST_FAMILIES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"

/* X(constant, name, kind, unit, help). The rows of LOAD, DISK and NETWORK stand in the order of their file's columns. */
#define HOST_FAMILIES(X)                                                                                               \
    X(CPU, "node_cpu_seconds_total", COUNTER, "seconds", "Seconds the CPUs spent in each mode.")                       \
    X(CPU_GUEST, "node_cpu_guest_seconds_total", COUNTER, "seconds",                                                   \
      "Seconds the CPUs spent in guests (VMs) for each mode.")                                                         \
    X(INTR, "node_intr_total", COUNTER, "", "Total number of interrupts serviced.")                                    \
    X(CONTEXT_SWITCHES, "node_context_switches_total", COUNTER, "", "Total number of context switches.")               \
    X(BOOT_TIME, "node_boot_time_seconds", GAUGE, "seconds", "Node boot time, in unixtime.")                           \
    X(FORKS, "node_forks_total", COUNTER, "", "Total number of forks.")                                                \
    X(PROCS_RUNNING, "node_procs_running", GAUGE, "", "Number of processes in runnable state.")                        \
    X(PROCS_BLOCKED, "node_procs_blocked", GAUGE, "", "Number of processes blocked waiting for I/O to complete.")      \
    X(LOAD1, "node_load1", GAUGE, "", "1m load average.")                                                              \
    X(LOAD5, "node_load5", GAUGE, "", "5m load average.")                                                              \
    X(LOAD15, "node_load15", GAUGE, "", "15m load average.")                                                           \
    X(MEMORY_BYTES, "node_memory_*_bytes", GAUGE, "bytes", "Memory information field *_bytes.")                        \
    X(MEMORY, "node_memory_*", GAUGE, "", "Memory information field *.")                                               \
    X(VMSTAT, "node_vmstat_*", UNKNOWN, "", "/proc/vmstat information field *.")                                       \
    X(DISK_READS_COMPLETED, "node_disk_reads_completed_total", COUNTER, "",                                            \
      "The total number of reads completed successfully.")                                                             \
    X(DISK_READS_MERGED, "node_disk_reads_merged_total", COUNTER, "", "The total number of reads merged.")             \
    X(DISK_READ_BYTES, "node_disk_read_bytes_total", COUNTER, "bytes", "The total number of bytes read successfully.") \
    X(DISK_READ_TIME, "node_disk_read_time_seconds_total", COUNTER, "seconds",                                         \
      "The total number of seconds spent by all reads.")                                                               \
    X(DISK_WRITES_COMPLETED, "node_disk_writes_completed_total", COUNTER, "",                                          \
      "The total number of writes completed successfully.")                                                            \
    X(DISK_WRITES_MERGED, "node_disk_writes_merged_total", COUNTER, "", "The number of writes merged.")                \
    X(DISK_WRITTEN_BYTES, "node_disk_written_bytes_total", COUNTER, "bytes",                                           \
      "The total number of bytes written successfully.")                                                               \
    X(DISK_WRITE_TIME, "node_disk_write_time_seconds_total", COUNTER, "seconds",                                       \
      "This is the total number of seconds spent by all writes.")                                                      \
    X(DISK_IO_NOW, "node_disk_io_now", GAUGE, "", "The number of I/Os currently in progress.")                         \
    X(DISK_IO_TIME, "node_disk_io_time_seconds_total", COUNTER, "seconds", "Total seconds spent doing I/Os.")          \
    X(DISK_IO_TIME_WEIGHTED, "node_disk_io_time_weighted_seconds_total", COUNTER, "seconds",                           \
      "The weighted # of seconds spent doing I/Os.")                                                                   \
    X(DISK_DISCARDS_COMPLETED, "node_disk_discards_completed_total", COUNTER, "",                                      \
      "The total number of discards completed successfully.")                                                          \
    X(DISK_DISCARDS_MERGED, "node_disk_discards_merged_total", COUNTER, "", "The total number of discards merged.")    \
    X(DISK_DISCARDED_SECTORS, "node_disk_discarded_sectors_total", COUNTER, "sectors",                                 \
      "The total number of sectors discarded successfully.")                                                           \
    X(DISK_DISCARD_TIME, "node_disk_discard_time_seconds_total", COUNTER, "seconds",                                   \
      "This is the total number of seconds spent by all discards.")                                                    \
    X(DISK_FLUSH_REQUESTS, "node_disk_flush_requests_total", COUNTER, "",                                              \
      "The total number of flush requests completed successfully")                                                     \
    X(DISK_FLUSH_TIME, "node_disk_flush_requests_time_seconds_total", COUNTER, "seconds",                              \
      "This is the total number of seconds spent by all flush requests.")                                              \
    X(NETWORK_RECEIVE_BYTES, "node_network_receive_bytes_total", COUNTER, "bytes",                                     \
      "Network device statistic receive_bytes.")                                                                       \
    X(NETWORK_RECEIVE_PACKETS, "node_network_receive_packets_total", COUNTER, "",                                      \
      "Network device statistic receive_packets.")                                                                     \
    X(NETWORK_RECEIVE_ERRS, "node_network_receive_errs_total", COUNTER, "", "Network device statistic receive_errs.")  \
    X(NETWORK_RECEIVE_DROP, "node_network_receive_drop_total", COUNTER, "", "Network device statistic receive_drop.")  \
    X(NETWORK_RECEIVE_FIFO, "node_network_receive_fifo_total", COUNTER, "", "Network device statistic receive_fifo.")  \
    X(NETWORK_RECEIVE_FRAME, "node_network_receive_frame_total", COUNTER, "",                                          \
      "Network device statistic receive_frame.")                                                                       \
    X(NETWORK_RECEIVE_COMPRESSED, "node_network_receive_compressed_total", COUNTER, "",                                \
      "Network device statistic receive_compressed.")                                                                  \
    X(NETWORK_RECEIVE_MULTICAST, "node_network_receive_multicast_total", COUNTER, "",                                  \
      "Network device statistic receive_multicast.")                                                                   \
    X(NETWORK_TRANSMIT_BYTES, "node_network_transmit_bytes_total", COUNTER, "bytes",                                   \
      "Network device statistic transmit_bytes.")                                                                      \
    X(NETWORK_TRANSMIT_PACKETS, "node_network_transmit_packets_total", COUNTER, "",                                    \
      "Network device statistic transmit_packets.")                                                                    \
    X(NETWORK_TRANSMIT_ERRS, "node_network_transmit_errs_total", COUNTER, "",                                          \
      "Network device statistic transmit_errs.")                                                                       \
    X(NETWORK_TRANSMIT_DROP, "node_network_transmit_drop_total", COUNTER, "",                                          \
      "Network device statistic transmit_drop.")                                                                       \
    X(NETWORK_TRANSMIT_FIFO, "node_network_transmit_fifo_total", COUNTER, "",                                          \
      "Network device statistic transmit_fifo.")                                                                       \
    X(NETWORK_TRANSMIT_COLLS, "node_network_transmit_colls_total", COUNTER, "",                                        \
      "Network device statistic transmit_colls.")                                                                      \
    X(NETWORK_TRANSMIT_CARRIER, "node_network_transmit_carrier_total", COUNTER, "",                                    \
      "Network device statistic transmit_carrier.")                                                                    \
    X(NETWORK_TRANSMIT_COMPRESSED, "node_network_transmit_compressed_total", COUNTER, "",                              \
      "Network device statistic transmit_compressed.")                                                                 \
    X(FILESYSTEM_DEVICE_ERROR, "node_filesystem_device_error", GAUGE, "",                                              \
      "Whether an error occurred while getting statistics for the given device.")                                      \
    X(FILESYSTEM_READONLY, "node_filesystem_readonly", GAUGE, "", "Filesystem read-only status.")                      \
    X(FILESYSTEM_SIZE, "node_filesystem_size_bytes", GAUGE, "bytes", "Filesystem size in bytes.")                      \
    X(FILESYSTEM_FREE, "node_filesystem_free_bytes", GAUGE, "bytes", "Filesystem free space in bytes.")                \
    X(FILESYSTEM_AVAIL, "node_filesystem_avail_bytes", GAUGE, "bytes",                                                 \
      "Filesystem space available to non-root users in bytes.")                                                        \
    X(FILESYSTEM_FILES, "node_filesystem_files", GAUGE, "", "Filesystem total file nodes.")                            \
    X(FILESYSTEM_FILES_FREE, "node_filesystem_files_free", GAUGE, "", "Filesystem total free file nodes.")             \
    X(PRESSURE_CPU_WAITING, "node_pressure_cpu_waiting_seconds_total", COUNTER, "seconds",                             \
      "Total time in seconds that processes have waited for CPU time")                                                 \
    X(PRESSURE_IO_WAITING, "node_pressure_io_waiting_seconds_total", COUNTER, "seconds",                               \
      "Total time in seconds that processes have waited due to IO congestion")                                         \
    X(PRESSURE_IO_STALLED, "node_pressure_io_stalled_seconds_total", COUNTER, "seconds",                               \
      "Total time in seconds no process could make progress due to IO congestion")                                     \
    X(PRESSURE_MEMORY_WAITING, "node_pressure_memory_waiting_seconds_total", COUNTER, "seconds",                       \
      "Total time in seconds that processes have waited for memory")                                                   \
    X(PRESSURE_MEMORY_STALLED, "node_pressure_memory_stalled_seconds_total", COUNTER, "seconds",                       \
      "Total time in seconds no process could make progress due to memory congestion")                                 \
    X(PRESSURE_IRQ_STALLED, "node_pressure_irq_stalled_seconds_total", COUNTER, "seconds",                             \
      "Total time in seconds no process could make progress due to IRQ congestion")                                    \
    X(FILEFD_ALLOCATED, "node_filefd_allocated", GAUGE, "", "File descriptor statistics: allocated.")                  \
    X(FILEFD_MAXIMUM, "node_filefd_maximum", GAUGE, "", "File descriptor statistics: maximum.")                        \
    X(ENTROPY_AVAILABLE, "node_entropy_available_bits", GAUGE, "bits", "Bits of available entropy.")                   \
    X(ENTROPY_POOL_SIZE, "node_entropy_pool_size_bits", GAUGE, "bits", "Bits of entropy pool.")                        \
    X(TIME, "node_time_seconds", GAUGE, "seconds", "System time in seconds since epoch (1970).")                       \
    X(UNAME, "node_uname_info", GAUGE, "", "Labeled system information as provided by the uname system call.")

enum host_family {
#define HOST_FAMILY_CONSTANT(constant, name, kind, unit, help) HOST_##constant,
    HOST_FAMILIES(HOST_FAMILY_CONSTANT)
#undef HOST_FAMILY_CONSTANT
        HOST_FAMILY_COUNT
};

#endif
