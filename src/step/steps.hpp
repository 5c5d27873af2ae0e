#pragma once

#include "step/step_kind.hpp"

// The kinds of steps, a file each; step_kind.cpp lists them.
namespace vmplug {

const step_kind_handler& load_module_step();
const step_kind_handler& set_binding_step();
const step_kind_handler& set_memlock_step();
const step_kind_handler& device_add_step();
const step_kind_handler& confirm_guest_step();
const step_kind_handler& device_del_step();

} // namespace vmplug
