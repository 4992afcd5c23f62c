//! The twoskip room.
