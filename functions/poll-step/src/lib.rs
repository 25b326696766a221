//! poll-step
