#include "cli/command_line.hpp"
#include "cli/hidden_entries.hpp"
#include "cli/progress_line.hpp"
#include "cli/terminal.hpp"
#include "cli/watch.hpp"
#include "command/handle/handlers.hpp"
#include "command/render/error_text.hpp"
#include "command/render/json_text.hpp"
#include "command/render/renderers.hpp"
#include "command/text/printable_json.hpp"
#include "command/text/terminal_text.hpp"
#include "repl/history_file.hpp"
#include "repl/repl.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/system/system_error.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace vmplug;

/// The exit code when what there was to say was lost with that errno, 0 if it was not. A reader
/// that has enough (`| head`) is no failure.
int told(int exit_code, int lost) {
    if (lost == 0 || lost == EPIPE) return exit_code;
    std::fprintf(stderr, "vmplug: the answer could not be written: %s\n", std::strerror(lost));
    return exit_code == 0 ? 1 : exit_code;
}

/// One run of one verb.
class program {
public:
    /// Interactive, or a script.
    int run_repl();

    explicit program(command_line parsed, std::string invoked_as)
        : parsed_(std::move(parsed)), log_(spdlog::stderr_logger_st("vmplug")) {
        log_->set_level(parsed_.verbose ? spdlog::level::debug : spdlog::level::warn);
        log_->set_pattern("vmplug: %T.%e %v");
        if (!parsed_.state_directory.empty()) options_.state_directory = parsed_.state_directory;
        options_.invoked_as = std::move(invoked_as);
    }

    int run() {
        options_.one_command = true;
        controller control(options_);
        auto context = make_context(control);
        std::exception_ptr failure;
        wait_for_signals();
        boost::asio::co_spawn(io_,
                              watches() ? watch_verb(context)
                                        : find_handler(*parsed_.asked)(context, parsed_.values),
                              [&](std::exception_ptr thrown, command_result result) {
                                  failure = thrown;
                                  result_ = std::move(result);
                                  progress_.end();
                                  signals_.cancel();
                              });
        io_.run();
        if (failure) std::rethrow_exception(failure);
        return print();
    }

private:
    command_context make_context(controller& control) {
        command_context context{control, {}, stop_.get_token(), {}};
        context.progress = [this](const std::string& text) { progress(text); };
        context.emit = [this](const nlohmann::json& value) {
            if (!write(parsed_.json ? json_line(value) : render_event(value))) stop_.request_stop();
        };
        return context;
    }

    /// A verb that streams by itself sees to `--watch` itself.
    bool watches() const {
        return parsed_.values.has("--watch") &&
               parsed_.asked->on_interrupt == interruption::ends_at_once;
    }

    boost::asio::awaitable<command_result> watch_verb(command_context& context) {
        return watch(*parsed_.asked, context, parsed_.values, [this](const nlohmann::json& value) {
            if (parsed_.json) return write(json_line(value));
            const bool shown = screen_.show(render(value));
            if (!shown) lost_ = errno;
            return shown;
        });
    }

    /// Ctrl-C gives up what runs, never the prompt; SIGTERM ends it.
    void wait_for_interrupts(repl& prompt) {
        signals_.async_wait([this, &prompt](boost::system::error_code aborted, int signal) {
            if (aborted) return;
            stop_.request_stop();
            prompt.interrupt();
            if (signal == SIGTERM) prompt.close();
            wait_for_interrupts(prompt);
        });
    }

    /// The terminal came back, or changed.
    void wait_for_terminal(repl& prompt) {
        terminal_signals_.async_wait([this, &prompt](boost::system::error_code aborted, int) {
            if (aborted) return;
            prompt.resume();
            wait_for_terminal(prompt);
        });
    }

    std::string render(const nlohmann::json& value) const {
        return find_renderer(*parsed_.asked)(value, output_style());
    }

    /// Keeps why what could not be written was lost.
    bool write(const std::string& text) {
        if (write_output(text)) return true;
        lost_ = errno;
        return false;
    }

    void progress(const std::string& text) {
        log_->debug("{}", escape_for_terminal(text));
        if (!parsed_.verbose) progress_.show(text);
    }

    void wait_for_signals() {
        signals_.async_wait([this](boost::system::error_code aborted, int) {
            if (aborted) return;
            // Whatever changes nothing ends at once; an operation ends when it is safe.
            const auto ending = watches() ? interruption::ends_stream : parsed_.asked->on_interrupt;
            if (ending == interruption::ends_at_once) {
                progress_.hide();
                std::_Exit(130);
            }
            if (!stop_.stop_requested() && ending == interruption::ends_after_undo)
                std::fputs("\nvmplug: stopping: what was done is undone first\n", stderr);
            stop_.request_stop();
            wait_for_signals();
        });
    }

    int print() {
        if (!result_.streamed) {
            write(parsed_.json ? json_line(result_.value) : render(result_.value));
            if (!parsed_.json) print_errors();
        }
        return told(result_.exit_code, lost_);
    }

    void print_errors() const {
        const auto& value = result_.value;
        if (value.contains("refusals"))
            for (const auto& each : value["refusals"])
                std::fputs(render_error(each, error_style()).c_str(), stderr);
        else if (value.contains("error") && !value["error"].is_null())
            std::fputs(render_error(value["error"], error_style()).c_str(), stderr);
        if (!value.contains("manual_commands")) return;
        std::fputs("  To undo it by hand:\n", stderr);
        for (const auto& each : value["manual_commands"])
            std::fprintf(stderr, "    %s\n", escape_for_terminal(each.get<std::string>()).c_str());
    }

    command_line parsed_;
    std::shared_ptr<spdlog::logger> log_;
    controller_options options_;
    repeated_text screen_;
    boost::asio::io_context io_{1};
    progress_line progress_{io_.get_executor()};
    boost::asio::signal_set signals_{io_, SIGINT, SIGTERM};
    boost::asio::signal_set terminal_signals_{io_};
    command_result result_;
    int lost_ = 0; ///< errno of an answer that could not be written
    std::stop_source stop_;
};

std::string join_arguments(int argc, char** argv) {
    std::string text = "vmplug";
    for (int i = 1; i < argc && text.size() < 200; ++i)
        text.append(" ").append(argv[i]);
    return text.substr(0, 200);
}

} // namespace

namespace {

std::string read_all(std::FILE* file) {
    std::string text;
    char buffer[4096];
    while (const auto size = std::fread(buffer, 1, sizeof buffer, file))
        text.append(buffer, size);
    return text;
}

int program::run_repl() {
    repl_options options;
    options.guest = parsed_.values.text("VM");
    options.json = parsed_.json;
    options.style = output_style();
    options.error_style = error_style();
    options.transcript_file = parsed_.values.text("--transcript");
    if (parsed_.values.has("-c"))
        options.script = parsed_.values.text("-c");
    else if (::isatty(STDIN_FILENO) != 1)
        options.script = read_all(stdin);
    else
        options.history_file = find_history_file();
    std::setlocale(LC_CTYPE, ""); // what is typed has characters of several bytes
    options.state_directory = options_.state_directory;
    options.before_output = [this] { progress_.hide(); };
    options.end_command = [this] { progress_.end(); };
    controller control(options_);
    auto context = make_context(control);
    options.begin_command = [this, &context] {
        stop_ = std::stop_source();
        context.stop = stop_.get_token();
    };
    repl prompt(io_.get_executor(), context, std::move(options));
    int code = 1;
    std::exception_ptr failure;
    wait_for_interrupts(prompt);
    for (const int each : {SIGCONT, SIGWINCH})
        terminal_signals_.add(each);
    wait_for_terminal(prompt);
    boost::asio::co_spawn(io_, prompt.run(), [&](std::exception_ptr thrown, int ended) {
        failure = thrown;
        code = ended;
        signals_.cancel();
        terminal_signals_.cancel();
    });
    io_.run();
    if (failure) std::rethrow_exception(failure);
    return told(code, lost_ != 0 ? lost_ : prompt.lost());
}

/// An exception is a bug, or an environment that cannot work.
int report_fault(const std::exception& failure, bool json) {
    const bool is_short = dynamic_cast<const boost::system::system_error*>(&failure) ||
                          dynamic_cast<const std::system_error*>(&failure) ||
                          dynamic_cast<const std::bad_alloc*>(&failure);
    error fault{error_code::internal, {}, failure.what(), {}};
    if (is_short)
        fault = {error_code::host_io, "vmplug", failure.what(),
                 "the machine or a limit of this process (ulimit) is short of what the text names"};
    const nlohmann::json value{{"outcome", "fault"}, {"error", to_json(fault)}};
    if (json) write_output(json_line(value));
    std::fputs(render_error(value["error"]).c_str(), stderr);
    return 1;
}

int end(const command_line::ending& ended) {
    const int lost = write_output(ended.output) ? 0 : errno;
    std::fputs(ended.failure.c_str(), stderr);
    return told(ended.exit_code, lost);
}

} // namespace

int main(int argc, char** argv) {
    // A reader that goes away (`| head`) must not end an operation half-way, nor a file that may
    // not grow any more (RLIMIT_FSIZE): both are errors of a write.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    keep_standard_descriptors();
    bool json = false;
    try {
        if (const auto code = run_hidden_entry(argc, argv)) return *code;
        auto parsed = parse_command_line({argv + std::min(argc, 1), argv + argc});
        json = parsed.json;
        if (parsed.ended) return end(*parsed.ended);
        const bool interactive = !find_handler(*parsed.asked);
        program run(std::move(parsed), join_arguments(argc, argv));
        return interactive ? run.run_repl() : run.run();
    } catch (const std::exception& failure) {
        return report_fault(failure, json);
    }
}
