#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// A piece of work that may block in the kernel for ever, running in a child process.
///
/// `report` becomes readable when the child has something to say and ends when it has finished:
/// first one byte-sized-int errno (0: success) as text and a newline, then what was read or what
/// the program printed. Closing it detaches the child: it is not killed, because a signal would
/// turn a wait inside vfio's unbind into one that nothing can end.
///
/// What changes the host (a write, an act of rtnetlink) keeps the descriptors of `leases`,
/// in any order, for as long as it is under way, whether we wait for it or not: nobody settles or
/// begins anything on the device as long as the kernel may still do what it was asked for.
struct child_task {
    int pid = -1;
    int report = -1;
};

/// Nobody waits for it any more: it is reaped when it has ended, at the latest when the next one is
/// started.
void give_up(const child_task& child);

/// Writes `value` to a file with one write(2).
result<child_task> start_write(const std::string& path, const std::string& value,
                               const std::vector<int>& leases);

/// Reads a file of at most 64 KiB.
result<child_task> start_read(const std::string& path);

/// A request of rtnetlink that is answered with an acknowledgement.
struct netlink_act {
    std::string message;
    std::size_t descriptor_at = 0;     ///< where the namespace's descriptor goes; 0: there is none
    std::string namespace_file;        ///< of nsfs
    std::uint64_t namespace_inode = 0; ///< another one behind the file is ESTALE
};

/// Sends it: rtnetlink has one lock, which a driver that hangs may have.
result<child_task> start_netlink_act(netlink_act act, const std::vector<int>& leases);

/// Sends requests for whole tables (NLM_F_DUMP) in several network namespaces: files of nsfs, empty
/// for our own, which has to be the first. What it reports are pieces, each with its head: the
/// answers as the kernel gives them, or why a namespace could not be asked.
struct netlink_piece {
    std::uint32_t which;      ///< index among the namespaces
    std::int32_t reason;      ///< errno, and no bytes follow; 0: an answer
    std::uint32_t size_bytes; ///< of what follows
};
result<child_task> start_netlink_questions(const std::vector<std::string>& namespaces,
                                           const std::vector<std::string>& requests);

/// Runs a program without a shell; its output and errors are what it reports.
result<child_task> start_program(const std::vector<std::string>& arguments);

/// Runs `work` with the writing end of `report`. It must not return, and may do no more than a
/// child of a process with threads: system calls, and no memory of its own.
result<child_task> start_work(const std::function<void(int report)>& work);

} // namespace vmplug
