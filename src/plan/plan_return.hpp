#pragma once

#include "plan/plan_attach.hpp"
#include "step/step_kind.hpp"

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

/// An operation beside `attach` that may need what it did, and takes it over: an attach with a
/// device in the same IOMMU group; or one that has given, or may have given, a device more to the
/// same QEMU, which is still there.
const operation_record* find_heir(const operation_record& attach, const situation& seen,
                                  shared_by scope);

/// What others need of what `attach` did, and will take home in its place: the bindings of a group
/// that another device stays in, the raised limit of a QEMU that keeps another device.
///
/// Returns the records of those others, with the steps added. They are saved before anything is
/// taken home: if we die in between, two records know the way home and none is lost.
std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen);

/// The same of what is shared with those alone: of an attach that is undone.
std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen,
                                        shared_by scope);

/// The host's half of `attach`, as if it had been done alone.
std::vector<step_record> binding_steps(const operation_record& attach);

/// A detach whose device stays on its assignment driver, by the subject of its plan or record.
bool keeps_bound(const fields& subject);

} // namespace vmplug
