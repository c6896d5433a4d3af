//! `cargo bench --package load`: measures every figure of the README's table anew, and writes it there
//! with date, commit and machine. `-- --dry` only prints it; `-- --programs FOLDER` measures programs
//! that are compiled already, the floor among them.

use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let is_dry = words.iter().any(|word| word == "--dry");
    let programs = words.iter().skip_while(|word| *word != "--programs").nth(1);
    load::figures::run(is_dry, programs.map(PathBuf::from)).await
}
