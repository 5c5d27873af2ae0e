#include "linux/linux_world.hpp"

#include "host/read_processes.hpp"

namespace vmplug {

linux_world::linux_world(const controller_options& options)
    : reader_(files_, options.one_command ? linux_host_reader::readings::at_once
                                          : linux_host_reader::readings::on_a_thread),
      host_(files_), vms_(files_, open_, !options.one_command),
      store_(options.state_directory, options.one_command ? journal_store::looks::at_once
                                                          : journal_store::looks::on_the_thread),
      self_(read_own_identity(files_)),
      leases_(options.state_directory + "/locks",
              "process " + std::to_string(self_.pid) + " (" + options.invoked_as + ")"),
      ports_{reader_, host_, vms_, store_, leases_, time_, self_} {}

} // namespace vmplug
