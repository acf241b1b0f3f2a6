//! Calls that their clients give up.
