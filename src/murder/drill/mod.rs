//! Drills: what happens when a part of a murder fails, to be watched and checked before it happens.
//!
//! * [`scenario`]: readable files of steps, faults and expectations; [`book`]: those that come with coroner;
//! * [`theatre`]: where one can be played; [`memory`]: in memory, with a clock of its own; [`loopback`]: on sockets;
//! * [`rehearse`]: a recovery, played with one's own lists;
//! * [`play`]: plays one; [`check`]: whether lists agree; [`tell`]: what happened, in lines.

pub mod book;
pub mod check;
pub mod dump;
pub mod loopback;
pub mod memory;
pub mod play;
pub mod rehearse;
pub mod scenario;
pub mod tell;
pub mod theatre;
