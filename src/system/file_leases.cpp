#include "system/file_leases.hpp"

#include "system/file_lock.hpp"

namespace vmplug {
namespace {

class file_lease final : public lease {
public:
    explicit file_lease(file_lock lock) : lock_(std::move(lock)) {}
    int descriptor() const override { return lock_.descriptor(); }

private:
    file_lock lock_;
};

} // namespace

result<std::unique_ptr<lease>> file_leases::try_take(const std::string& name, lease_holder& other) {
    auto lock = file_lock::try_lock(directory_, name, holder_, other.who, &other.in_kernel);
    if (lock.has_error()) return lock.error();
    if (!*lock) return std::unique_ptr<lease>();
    return std::make_unique<file_lease>(std::move(**lock));
}

std::string file_leases::find_holder(const std::string& name) const {
    return file_lock::find_holder(directory_, name);
}

} // namespace vmplug
