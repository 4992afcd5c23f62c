//! What the commands do; no parsing of arguments and no printing here.

pub mod synth;
