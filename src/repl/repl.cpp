#include "repl/repl.hpp"

#include "command/handle/handlers.hpp"
#include "command/render/help_text.hpp"
#include "command/render/renderers.hpp"
#include "command/table/check_values.hpp"
#include "command/text/duration_text.hpp"
#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"
#include "command/typing/qmp_arguments.hpp"
#include "command/typing/qmp_call.hpp"
#include "command/typing/qmp_typing.hpp"
#include "qmp/message.hpp"
#include "repl/completion_words.hpp"
#include "repl/editor.hpp"
#include "repl/input_line.hpp"
#include "repl/repl_output.hpp"
#include "repl/verb_words.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds call_deadline{30'000};
constexpr milliseconds event_interval{3'600'000};

} // namespace

struct repl::state : std::enable_shared_from_this<repl::state> {
    state(asio::any_io_executor on, command_context& with, repl_options chosen)
        : executor(std::move(on)), context(with), options(std::move(chosen)),
          out(options.json, options.style, options.error_style, options.before_output) {}

    asio::any_io_executor executor;
    command_context& context;
    repl_options options;
    repl_output out;
    std::unique_ptr<editor> terminal;
    std::map<std::string, std::shared_ptr<guest_connection>> guests;
    std::string current;
    asio::cancellation_signal cancel;
    bool running = false;
    bool undoes = false; ///< what runs is an operation
    bool finished = false;
    std::stop_source end; ///< of what goes on behind the prompt
    int exit_code = 0;    ///< of an interactive run

    guest_connection* guest() {
        const auto found = guests.find(current);
        return found == guests.end() ? nullptr : found->second.get();
    }
    std::string prompt() const {
        return escape_for_terminal(current.empty() ? "vmplug" : current) + "> ";
    }

    awaitable<int> run_script();
    awaitable<int> run_interactive();
    awaitable<int> execute(std::string text);
    awaitable<int> execute(input_line line);
    awaitable<int> run_own(std::vector<std::string> words);
    awaitable<int> run_verb(std::vector<std::string> words);
    awaitable<int> run_qmp(std::vector<std::string> words);
    awaitable<int> run_json(std::string text);
    awaitable<int> run_hmp(std::string line);
    awaitable<int> call(std::string command, json arguments);
    awaitable<int> use(std::string name);
    awaitable<void> use_behind_prompt(std::string name);
    awaitable<int> help(std::vector<std::string> words);
    awaitable<void> show_events(std::shared_ptr<guest_connection> guest);
    awaitable<int> timed(awaitable<int> work);

    void settle_behind_prompt();
    int no_guest(const std::string& command);
    int show_help(const std::string& text);
};

int repl::state::show_help(const std::string& text) {
    return out.show({{"outcome", "done"}, {"help", text}}, text, 0);
}

int repl::state::no_guest(const std::string& command) {
    return out.fail({error_code::vm_not_found, command, "no guest is open", "use VM"});
}

awaitable<int> repl::state::use(std::string name) {
    auto opened = guests[name];
    const bool is_new = !opened;
    if (is_new) opened = guests[name] = std::make_shared<guest_connection>(context.control, name);
    const auto there = co_await opened->open();
    if (there.has_error()) {
        if (is_new) guests.erase(name);
        co_return out.fail(there.error());
    }
    current = name;
    if (terminal && !std::exchange(opened->heard, true))
        asio::co_spawn(executor, show_events(opened), asio::detached);
    co_return 0;
}

/// The guest that was named at the start is opened behind the first prompt; without it the run
/// ends.
awaitable<void> repl::state::use_behind_prompt(std::string name) {
    const auto self = shared_from_this();
    const auto opened = std::make_shared<guest_connection>(context.control, name);
    guests[name] = opened;
    opened->heard = true;
    current = name;
    const auto there = co_await opened->open();
    if (there.has_value()) co_return co_await show_events(opened);
    if (finished) co_return;
    exit_code = out.fail(there.error());
    finished = true;
    terminal->close();
}

/// Until the guest is closed here; a monitor that goes away is said, and waited for.
awaitable<void> repl::state::show_events(std::shared_ptr<guest_connection> guest) {
    const auto self = shared_from_this();
    bool lost = false;
    for (;;) {
        auto* there = co_await guest->reopen();
        if (!there) co_return;
        if (std::exchange(lost, false)) out.guest_is(guest->name(), "connected again");
        auto events = there->subscribe();
        for (;;) {
            const auto event = co_await events.next(event_interval, guest->closing());
            if (event.has_error() || guest->is_closed()) break;
            if (*event) out.event(guest->name(), **event);
        }
        if (guest->is_closed()) co_return;
        lost = true;
        out.guest_is(guest->name(), "the monitor is gone; waiting for it");
    }
}

awaitable<int> repl::state::help(std::vector<std::string> words) {
    if (words.size() > 1) {
        auto* open = guest();
        std::string text;
        if (open) text = (co_await open->known_schema())->describe(words[1]);
        if (!text.empty()) co_return out.show({{"help", text}}, escape_lines(text), 0);
        if (const auto* row = find_verb(words[1])) co_return show_help(help_of(*row));
        co_return out.misuse(parse_line(read_line(std::span(words).subspan(1))).error());
    }
    std::string text = "use VM         open a guest, and mean it from now on\n"
                       "close          close it\n"
                       "COMMAND K=V    any QMP command; Tab completes it, `help COMMAND` tells\n"
                       "!LINE          a line of the human monitor; also: hmp LINE\n"
                       "{...}          a QMP command as JSON\n"
                       "quit           leave\n\n"
                       "and the verbs of vmplug:\n";
    for (const auto& row : verbs())
        text += "  " + std::string(row.name) + "  " + row.summary + "\n";
    co_return out.show({{"help", text}}, text, 0);
}

awaitable<int> repl::state::run_own(std::vector<std::string> words) {
    if (words[0] == "help") co_return co_await help(std::move(words));
    if (words[0] == "use" && words.size() == 2) {
        const auto fault = find_fault("VM", value_kind::vm, std::span(words).subspan(1));
        if (fault) co_return out.misuse(*fault);
        co_return co_await use(words[1]);
    }
    if (words[0] == "close") {
        if (auto* open = guest()) open->close();
        guests.erase(current);
        current = guests.empty() ? std::string() : guests.begin()->first;
        co_return 0;
    }
    finished = words[0] == "quit" || words[0] == "exit";
    if (finished) co_return 0;
    co_return out.misuse({error_code::invalid_argument, words[0], "which guest?", "use VM"});
}

awaitable<int> repl::state::run_verb(std::vector<std::string> words) {
    const auto line = read_with_guest(words, current);
    const auto& row = *line.row;
    if (line.asks_help) co_return show_help(help_of(row));
    const auto asked = parse_line(line);
    if (asked.has_error()) co_return out.misuse(asked.error());
    const bool other_journal =
        asked->has("--state-dir") && asked->text("--state-dir") != options.state_directory;
    if (!find_handler(row) || other_journal || asked->has("--watch") || line.asks_version)
        co_return out.misuse({error_code::invalid_argument, row.name, "not within the prompt",
                              "run it in a shell of its own"});
    // An operation is asked to stop and undoes what it did: it must not be cut off in a step.
    if (row.on_interrupt != interruption::ends_at_once)
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    undoes = row.on_interrupt == interruption::ends_after_undo;
    const auto result = co_await find_handler(row)(context, *asked);
    undoes = false;
    options.end_command();
    if (!result.streamed) out.show(result.value, find_renderer(row)(result.value, out.style()), 0);
    if (!options.json && result.value.contains("error") && !result.value["error"].is_null())
        out.complain(result.value["error"]);
    co_return result.exit_code;
}

awaitable<int> repl::state::run_qmp(std::vector<std::string> words) {
    const auto fault = find_fault("COMMAND", value_kind::text, std::span(words).first(1));
    if (fault) co_return out.misuse(*fault);
    if (!guest()) co_return no_guest(words[0]);
    const auto command = words[0];
    words.erase(words.begin());
    type_source types;
    types.thorough = true;
    types.schema = [open = guest()] { return open->schema(); };
    types.model = [open = guest()](std::string type) { return open->model(std::move(type)); };
    auto arguments = co_await type_arguments(std::move(types), command, std::move(words));
    if (arguments.has_error()) co_return out.fail(arguments.error());
    co_return co_await call(command, std::move(*arguments));
}

awaitable<int> repl::state::call(std::string command, json arguments) {
    const auto opened = co_await guest()->open();
    if (opened.has_error()) co_return out.fail(opened.error());
    auto text = arguments.empty() ? std::string() : qmp::format_json(arguments);
    const auto reply =
        co_await call_written(**opened, std::move(command), std::move(text), call_deadline);
    if (reply.has_error()) co_return out.fail(reply.error());
    json value{{"outcome", "done"}, {"return", *reply}};
    co_return out.show_json(value, *reply);
}

/// A QMP command, or a line of a transcript: its inputs are run again, the rest is passed over.
awaitable<int> repl::state::run_json(std::string text) {
    if (nests_too_deep(text)) co_return out.fail(too_deep(text));
    const auto value = json::parse(text, nullptr, false);
    if (value.is_object() && value.contains("time_us")) {
        const auto input = text_at(value, "input");
        if (input.empty()) co_return 0;
        co_return co_await execute(input);
    }
    const auto command = value.is_object() ? text_at(value, "execute") : std::string();
    if (command.empty())
        co_return out.fail({error_code::invalid_argument, text.substr(0, 60),
                            "this is no QMP command",
                            R"(write {"execute": "NAME", "arguments": {}})"});
    if (!guest())
        co_return out.fail({error_code::vm_not_found, command, "no guest is open", "use VM"});
    co_return co_await call(command, value.value("arguments", json::object()));
}

awaitable<int> repl::state::run_hmp(std::string line) {
    const auto fault = find_fault("LINE", value_kind::words, std::span(&line, 1));
    if (fault) co_return out.misuse(*fault);
    if (!guest()) co_return no_guest(line);
    const auto output = co_await context.control.run_hmp(current, std::move(line), call_deadline);
    if (output.has_error()) co_return out.fail(output.error());
    co_return out.show({{"outcome", "done"}, {"output", *output}}, escape_lines(*output), 0);
}

awaitable<int> repl::state::execute(input_line line) {
    switch (line.what) {
    case input_line::kind::nothing:
        break;
    case input_line::kind::own:
        return run_own(std::move(line.words));
    case input_line::kind::verb:
        return run_verb(std::move(line.words));
    case input_line::kind::qmp:
        return run_qmp(std::move(line.words));
    case input_line::kind::hmp:
        return run_hmp(std::move(line.text));
    case input_line::kind::json:
        return run_json(std::move(line.text));
    }
    return []() -> awaitable<int> { co_return 0; }();
}

awaitable<int> repl::state::execute(std::string text) {
    auto line = parse_input_line(text);
    if (line.has_error()) co_return out.fail(line.error());
    if (line->what == input_line::kind::nothing) co_return 0;
    // A verb that comes before the connection would make another one.
    if (guest()) co_await guest()->settled();
    if (finished) co_return exit_code;
    out.input(text);
    options.begin_command();
    co_return co_await execute(std::move(*line));
}

awaitable<int> repl::state::run_script() {
    if (!options.guest.empty()) {
        const int code = co_await use(options.guest);
        if (code != 0) co_return code;
    }
    for (auto& line : split_script(*options.script)) {
        const int code = co_await execute(std::move(line));
        const bool unheard = out.lost() != 0 && out.lost() != EPIPE;
        if (code != 0 || finished || unheard) co_return code;
    }
    co_return 0;
}

/// Runs a command so that Ctrl-C ends it, and says how long it took.
awaitable<int> repl::state::timed(awaitable<int> work) {
    const auto begin = steady_clock::now();
    running = true;
    int code = 0;
    try {
        code = co_await asio::co_spawn(
            executor, std::move(work),
            asio::bind_cancellation_slot(cancel.slot(), asio::use_awaitable));
    } catch (const boost::system::system_error&) {
        options.end_command();
        code = out.fail({error_code::cancelled, "", "given up", "what was sent may still run"});
    }
    running = false;
    const auto took = steady_clock::now() - begin;
    co_await out.show_long(executor);
    out.took(format_duration(std::chrono::duration_cast<std::chrono::microseconds>(took)));
    co_return code;
}

/// A guest that lets go of a device after its detach has ended is answered while the prompt is
/// open.
void repl::state::settle_behind_prompt() {
    operation_options chosen;
    chosen.stop = end.get_token();
    const auto tell = [self = shared_from_this()](const operation_report& late) {
        const auto& record = late.record();
        self->out.remark("operation " + std::to_string(record.number) + ", " +
                         std::string(kind_name(record.kind)) + " of " +
                         escape_for_terminal(field(record.subject, "device")) +
                         ": the guest has let go: " +
                         std::string(outcome_name(late.ended().value_or(outcome::unknown))));
    };
    asio::co_spawn(executor, context.control.keep_settling(tell, std::move(chosen)),
                   [self = shared_from_this()](std::exception_ptr failure) {
                       if (failure) self->out.remark("late unplugs are not waited for any more");
                   });
}

awaitable<int> repl::state::run_interactive() {
    settle_behind_prompt();
    if (!options.guest.empty())
        asio::co_spawn(executor, use_behind_prompt(options.guest), asio::detached);
    std::string text;
    while (!finished) {
        auto shown = text.empty() ? prompt() : std::string("... ");
        const auto read = co_await terminal->read_line(std::move(shown));
        if (read.how == editor::read_result::ending::closed) {
            out.print("\n");
            break;
        }
        if (read.how == editor::read_result::ending::given_up) {
            text.clear();
            continue;
        }
        text += read.line;
        if (is_open_json(text)) {
            text += "\n";
            continue;
        }
        auto work = execute(std::exchange(text, {}));
        co_await timed(std::move(work));
    }
    co_return exit_code;
}

repl::repl(asio::any_io_executor executor, command_context& context, repl_options options)
    : state_(std::make_shared<state>(std::move(executor), context, std::move(options))) {}
repl::~repl() = default;

awaitable<int> repl::run() {
    const auto s = state_;
    if (!s->options.transcript_file.empty() && !s->out.record(s->options.transcript_file))
        co_return s->out.fail({error_code::invalid_argument, s->options.transcript_file,
                               "the transcript cannot be written", "name another file"});
    if (!s->options.script) {
        s->terminal =
            std::make_unique<editor>(s->executor, s->options.history_file, [s](std::string before) {
                return complete_line(s->context.control, s->guest(), std::move(before));
            });
        s->out.attach(*s->terminal);
    }
    int code = 0;
    if (s->options.script)
        code = co_await s->run_script();
    else
        code = co_await s->run_interactive();
    s->finished = true;
    s->end.request_stop();
    for (const auto& [name, open] : s->guests)
        open->close();
    s->guests.clear();
    s->out.detach();
    s->terminal.reset();
    co_return code;
}

void repl::interrupt() {
    if (state_->undoes) state_->out.remark("stopping: what was done is undone first");
    if (state_->running)
        state_->cancel.emit(asio::cancellation_type::terminal);
    else if (state_->terminal)
        state_->terminal->interrupt();
}

void repl::resume() {
    if (state_->terminal) state_->terminal->resume();
}

int repl::lost() const {
    return state_->out.lost();
}

void repl::close() {
    state_->finished = true;
    if (state_->terminal) state_->terminal->close();
}

} // namespace vmplug
