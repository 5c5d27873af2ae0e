#include <vmplug/reconnect_policy.hpp>

#include <algorithm>

namespace vmplug {

using std::chrono::milliseconds;

bool reconnect_policy::held(time_point now) const {
    return connected_since_ && now - *connected_since_ >= pace_.steady;
}

void reconnect_policy::lost(error why, time_point now) {
    last_ = std::move(why);
    const bool too_early = !connected_since_ && now < due_;
    if (too_early) return;
    pause_ = held(now) ? milliseconds(0) : std::clamp(pause_ * 2, pace_.first, pace_.longest);
    connected_since_.reset();
    due_ = now + pause_;
}

reconnect_policy::answer reconnect_policy::next() const {
    if (!ended_) return try_at{connected_since_ ? *connected_since_ : due_};
    error why{error_code::monitor_gone, {}, "its process has ended", {}};
    if (last_) {
        why.where = last_->where;
        why.text += "; before that: " + last_->text;
    }
    return give_up{std::move(why)};
}

} // namespace vmplug
