//! Counts the words of what it is given on standard input.

use std::io::{self, BufRead as _};

fn main() -> io::Result<()> {
    let mut words = 0;
    for line in io::stdin().lock().lines() {
        words += line?.split_whitespace().count();
    }
    println!("{words}");
    Ok(())
}
