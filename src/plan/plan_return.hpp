#pragma once

#include "plan/plan_attach.hpp"

namespace vmplug {

/// How a device comes back: from a guest (detach), or from its assignment driver alone (release).
/// Pure. `attach` is the operation that took it away.
///
/// Shape: the plan holds its steps whatever fails (`on_failure::hold`): a device that the guest has
/// let go of is on its way home, and `recover` goes on.
/// A group that another assignment still needs cannot go back to host drivers: then the plan has no
/// binding steps, and they are handed over (`hand_over`).
plan plan_detach(const detach_request& request, const operation_record& attach,
                 const situation& seen);

/// What is done when the guest has let go, as the world is then: others may have come meanwhile
/// that need what was to be taken back. It is what `plan_detach` foretells, and planned again when
/// it is time. `hand_over` before it.
std::vector<step> plan_way_home(const operation_record& attach, const situation& seen,
                                bool keep_bound);

/// How a device that was bound alone goes home.
plan plan_release(const operation_record& bound, const situation& seen);

/// What others need of what `attach` did, and will take home in its place: the bindings of a group
/// that another device stays in, the raised limit of a QEMU that keeps another device.
///
/// Returns the records of those others, with the steps added. They are saved before anything is
/// taken home: if we die in between, two records know the way home and none is lost.
std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen);

/// The same of one of them alone: of an attach that is undone.
std::vector<operation_record> hand_over_bindings(const operation_record& attach,
                                                 const situation& seen);
std::vector<operation_record> hand_over_limit(const operation_record& attach,
                                              const situation& seen);

/// The applied binding steps of `attach`.
std::vector<step_record> binding_steps(const operation_record& attach);

/// An attach beside `attach` that has a device in the same IOMMU group.
const operation_record* find_sharer(const operation_record& attach, const situation& seen);

/// An operation that has given, or may have given, a device more to `attach`'s QEMU, which is still
/// there: then its raised limit has to stay.
const operation_record* find_limit_sharer(const operation_record& attach, const situation& seen);

/// The steps that put back what the binding steps of `attach` changed.
std::vector<step> plan_binding_return(const operation_record& attach);

} // namespace vmplug
