//! Points at which a test lets this process die, as a power cut would.
//!
//! Takes the one [`Point`] that is armed when the program starts. In a program
//! built for release no point can be armed and none does anything.

#[cfg(debug_assertions)]
use std::sync::OnceLock;

/// Where the process may die: between what is on disk and who is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A submission is kept, its caller was not answered.
    SubmissionKept,
    /// An executor's journal has a lease that was not accepted yet.
    LeaseJournalled,
    /// It has a receipt that was not sent yet.
    ReceiptJournalled,
    /// The one result is kept, its executor was not told.
    ResultAccepted,
    /// Some tables of a new schema are made, others are not.
    SchemaHalfMade,
}

#[cfg(debug_assertions)]
static ARMED: OnceLock<String> = OnceLock::new();

/// Lets the process die at the point of this name, as [`Point`] prints it.
#[cfg(debug_assertions)]
pub(crate) fn arm(point: String) {
    let _armed_once = ARMED.set(point);
}

/// The process is at `point`.
pub(crate) fn at(point: Point) {
    #[cfg(debug_assertions)]
    if ARMED
        .get()
        .is_some_and(|armed| *armed == format!("{point:?}"))
    {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _nothing_is_armed = point;
}
