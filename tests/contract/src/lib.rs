//! Nothing but tests, see `tests`: the ports and their fakes keep one contract, and no input, however
//! hostile, does harm.
