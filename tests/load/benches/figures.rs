//! `cargo bench --package load`: measures every figure of the README's table anew, and writes it there
//! with date, commit and machine. `-- --dry` only prints it.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let is_dry = std::env::args().any(|word| word == "--dry");
    load::figures::run(is_dry).await
}
