//! `cargo load` and its fellows.
#![allow(clippy::print_stdout, reason = "a command line that talks to the person who started it")]

use load::bench::weight::{self, Effort, Subject};
use load::cost::{self, Sample};
use load::{lambda::programs, peers};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let profile = std::env::var("P").unwrap_or("release".into());
    if arguments[0] == "cost" {
        let costs = cost::measure(&programs::folder(&profile), Sample { alone: 20, crowd: 200 }, std::env::var("QUICK").is_ok()).await?;
        println!("{}", cost::table(&costs));
        println!("in alone\n{}", cost::items(&costs.incoming_alone, 1e5));
        println!("in crowd\n{}", cost::items(&costs.incoming_in_a_crowd, 1e5));
        println!("out alone\n{}", cost::items(&costs.outgoing_alone, 1e5));
        println!("out campaign\n{}", cost::items(&costs.outgoing_in_a_campaign, 1e5));
        println!("month\n{}", cost::items(&costs.idle_month, 1.0));
        return Ok(());
    }
    if arguments[0] == "run" {
        return load::drive::run(&arguments[1..]).await;
    }
    if arguments[0] == "through" {
        use load::bench::throughput as t;
        let f = programs::folder(&profile);
        println!("{:?}", t::webhooks(&f, 2, 500, std::time::Duration::from_secs(10)).await?);
        println!("max {:?}", t::webhooks_at_most(&f, 2, 5000).await?);
        println!("reply {:?}", t::auto_reply(&f, 50).await?);
        println!("{:?}", t::drain(&f, 0, 2000).await?);
        println!("{:?}", t::drain(&f, 1000, 1000).await?);
        println!("backlog {:?}", t::backlog(&f, 20000).await?);
        return Ok(());
    }
    let tls = std::env::args().any(|a| a == "--tls");
    let floor = programs::folder("release").join("floor");
    let mut subjects = vec![Subject::Ours(programs::folder("release")), Subject::Floor(floor)];
    if let Some(node) = peers::node()? { subjects.push(Subject::Node(node)); }
    let effort = Effort { cold_starts: 5, warm_calls: 200, tls };
    for (name, weights) in weight::all(&subjects, effort).await? {
        println!("{name}");
        for w in weights { println!("  {w:.2?}"); }
    }
    Ok(())
}
