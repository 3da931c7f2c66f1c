//! Tests on real Kubo daemons.
