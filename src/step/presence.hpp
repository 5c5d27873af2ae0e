#pragma once

namespace vmplug {

/// What a probe saw of a step.
enum class presence {
    applied, ///< the world is as the step leaves it
    absent,  ///< the world is as it was before the step
    partial, ///< something between: it can be reverted
};

} // namespace vmplug
