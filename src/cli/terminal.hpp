#pragma once

#include "command/text/text_style.hpp"

#include <string>

namespace vmplug {

/// What stdout can show. Colours: on a terminal, unless NO_COLOR is set or TERM says "dumb".
text_style output_style();
text_style error_style();

/// A text that is shown anew in the same place on a terminal, and below the last one elsewhere.
class repeated_text {
public:
    /// Returns false when the reader is gone.
    bool show(const std::string& text);

private:
    std::size_t rows_ = 0; ///< that the last one takes on the terminal
};

/// Whether nobody reads stdout any more.
bool reader_is_gone();

/// Descriptors 0 to 2 that are closed become /dev/null: else the next file that is opened would be
/// our input or output.
void keep_standard_descriptors();

/// Writes to stdout. Returns false when the reader is gone (`| head`).
bool write_output(const std::string& text);

} // namespace vmplug
