//! A realistic database from a seed, for rehearsals and benchmarks.

pub mod population;
