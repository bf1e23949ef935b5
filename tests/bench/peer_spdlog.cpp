// peer_spdlog - what a call of an asynchronous spdlog logger costs, with the message and the ids of bench_call's bound call:
// the thread pool's and the overflow policy's defaults (8,192 messages, one worker, block), into a plain file. Between batches the
// program stays busy until the queue is empty, and a millisecond at least.
//
//     peer_spdlog FILE
#include <cstdio>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "tests/bench/timing.h"

static const char hundred[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
static const char trace[] = "4bf92f3577b34da6a3ce929d0e0e4736", span[] = "00f067aa0ba902b7";

static std::shared_ptr<spdlog::logger> logger;
static unsigned long long called;

static void call_logger(unsigned i) {
    logger->info("job {}: {} {} {}", static_cast<int>(i), hundred, trace, span);
}

static void pause_between(void) {
    called += TIMED_TURN;
    do
        timed_pause(1000 * 1000);
    while (spdlog::thread_pool()->queue_size() > 0);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    logger = spdlog::basic_logger_mt<spdlog::async_factory>("bench", argv[1], true);
    timed row = {};
    row.name = "spdlog: async logger, as bound";
    row.call = call_logger;
    row.after = pause_between;
    timed_pin(1);
    timed_run(&row, 1, timed_rounds());
    timed_print(&row, 1, "beside", 0);
    std::printf("called: %llu\n", called);
    logger.reset();
    spdlog::shutdown();
    return 0;
}
