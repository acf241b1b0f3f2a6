//! The command line beside a proxy that runs, one that was killed, one on the network, and none:
//! what it says of the way (`ways`), that the way makes no difference (`alike`), and what it
//! gives to shells and to `man` (`pages`).

mod alike;
mod desk;
mod network;
mod pages;
mod ways;
