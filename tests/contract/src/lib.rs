//! This package has tests only. They show that the models and the adapters keep one contract, and that no
//! hostile input does harm.
