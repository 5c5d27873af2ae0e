#pragma once

#include "port/leases.hpp"

namespace vmplug {

/// Leases as locks of files, which the kernel takes back when their process ends.
class file_leases final : public lease_table {
public:
    /// `holder` ("process PID ...") says who we are, for whoever is refused.
    file_leases(std::string directory, std::string holder)
        : directory_(std::move(directory)), holder_(std::move(holder)) {}

    result<std::unique_ptr<lease>> try_take(const std::string& name, lease_holder& other) override;
    std::string find_holder(const std::string& name) const override;

private:
    std::string directory_;
    std::string holder_;
};

} // namespace vmplug
