#pragma once

#include <vmplug/error.hpp>
#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>
#include <vmplug/step.hpp>

#include <nlohmann/json.hpp>

namespace vmplug {

nlohmann::json to_json(const error& failure);
nlohmann::json to_json(const step_record& step);
nlohmann::json to_json(const operation_record& record);
nlohmann::json to_json(const qemu_process& process);
nlohmann::json to_json(const guest_port& port);
nlohmann::json to_json(const guest_device& device);

} // namespace vmplug
