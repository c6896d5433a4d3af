//! The end-to-end tests are in `tests/`, and what they put into the stack beside the functions is in `bin/`.
