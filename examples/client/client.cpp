// What the library gives to a C++ program: the ports of a guest, as `vmplug ports` shows them.
//
//     g++ -std=c++20 client.cpp $(pkg-config --cflags --libs --static vmplug) -o client
//     ./client web
#include <vmplug/controller.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <exception>

namespace {

boost::asio::awaitable<int> show_ports(const vmplug::controller& control, std::string guest) {
    const auto view = co_await control.query_guest(std::move(guest));
    if (view.has_error()) {
        const auto& failure = view.error();
        const std::string code(vmplug::code_name(failure.code));
        std::fprintf(stderr, "%s: %s\n", code.c_str(), failure.text.c_str());
        co_return 3;
    }
    for (const auto& port : view->facts.ports)
        std::printf("%s %s\n", port.bus.c_str(), port.is_free() ? "free" : "not free");
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("client GUEST\n", stderr);
        return 2;
    }
    const vmplug::controller control({});
    boost::asio::io_context io{1};
    int code = 1;
    boost::asio::co_spawn(io, show_ports(control, argv[1]),
                          [&](std::exception_ptr failed, int returned) {
                              if (failed) std::rethrow_exception(failed);
                              code = returned;
                          });
    io.run();
    return code;
}
