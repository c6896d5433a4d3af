//! Pictures, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 200.0;
/// Room for the words at the left and below.
const LEFT: f64 = 50.0;
const BELOW: f64 = 30.0;

/// How many bars a distribution has.
const BARS: usize = 40;

/// At most so many points on a line.
const POINTS: usize = 120;

const BAR_COLOUR: &str = "#1f77b4";
const COLOURS: [&str; 3] = ["#1f77b4", "#d62728", "#2ca02c"];

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn frame(content: &str, most: f64, from: &str, to: &str) -> String {
    let (right, bottom) = (WIDTH - 5.0, HEIGHT - BELOW);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">{content}\
         <path d=\"M{LEFT} 10V{bottom}H{right}\" fill=\"none\" stroke=\"#999\"/>\
         <text x=\"{x}\" y=\"18\" text-anchor=\"end\">{most:.0}</text>\
         <text x=\"{x}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\
         <text x=\"{LEFT}\" y=\"{y}\">{from}</text>\
         <text x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{to}</text></svg>",
        x = LEFT - 6.0,
        y = bottom + 18.0,
    )
}

/// How many took how long: bars from the fastest to the slowest.
#[must_use]
pub fn distribution(mut took_ms: Vec<f64>) -> String {
    took_ms.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (took_ms.first(), took_ms.last()) else {
        return "<p>none</p>".to_owned();
    };
    let width = ((most - least) / number(BARS)).max(f64::MIN_POSITIVE);
    let mut bars = [0_usize; BARS];
    for took in &took_ms {
        // The place of a bar, as a whole number below their count.
        let place = format!("{:.0}", ((took - least) / width).floor())
            .parse()
            .unwrap_or(BARS);
        if let Some(bar) = bars.get_mut(place.min(BARS - 1)) {
            *bar += 1;
        }
    }
    let highest = number(bars.iter().copied().max().unwrap_or(1));
    let step = (WIDTH - LEFT - 5.0) / number(BARS);
    let mut content = String::new();
    for (place, count) in bars.iter().enumerate() {
        let height = number(*count) / highest * (HEIGHT - BELOW - 10.0);
        let (x, y) = (LEFT + number(place) * step, HEIGHT - BELOW - height);
        // Writing into a string cannot fail.
        let _ = write!(
            content,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\"/>",
            step - 1.0,
            BAR_COLOUR,
        );
    }
    frame(
        &content,
        highest,
        &format!("{least:.0} ms"),
        &format!("{most:.0} ms"),
    )
}

/// How many a second, over time: a line for each kind, of times in milliseconds since 1970.
#[must_use]
pub fn rates(lines: &[(&str, Vec<u64>)]) -> String {
    let times = || lines.iter().flat_map(|(_, times)| times.iter().copied());
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return "<p>none</p>".to_owned();
    };
    let seconds = usize::try_from((last - first) / 1000 + 1).unwrap_or(usize::MAX);
    let seconds_a_point = seconds.div_ceil(POINTS);
    let points = seconds.div_ceil(seconds_a_point);
    let counted: Vec<Vec<f64>> = lines
        .iter()
        .map(|(_, times)| {
            let mut counts = vec![0_usize; points];
            for time in times {
                let place = usize::try_from((time - first) / 1000).unwrap_or(0) / seconds_a_point;
                if let Some(count) = counts.get_mut(place) {
                    *count += 1;
                }
            }
            counts
                .into_iter()
                .map(|count| number(count) / number(seconds_a_point))
                .collect()
        })
        .collect();
    let most = counted.iter().flatten().copied().fold(1.0, f64::max);
    let step = (WIDTH - LEFT - 5.0) / number(points.max(2) - 1);
    let mut content = String::new();
    for (((name, _), counts), (place, colour)) in
        lines.iter().zip(&counted).zip(COLOURS.iter().enumerate())
    {
        let path: Vec<String> = counts
            .iter()
            .enumerate()
            .map(|(at, rate)| {
                let y = HEIGHT - BELOW - rate / most * (HEIGHT - BELOW - 10.0);
                format!("{:.1},{y:.1}", LEFT + number(at) * step)
            })
            .collect();
        let _ = write!(
            content,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"18\" style=\"fill:{colour}\">{name}</text>",
            path.join(" "),
            LEFT + 20.0 + number(place) * 130.0,
        );
    }
    frame(&content, most, "0 s", &format!("{seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bar() {
        let picture = distribution(vec![1.0, 2.0, 2.0, 100.0]);
        assert_eq!(picture.matches("<rect").count(), BARS);
        assert!(distribution(vec![5.0, 5.0]).contains("<rect"));
        assert_eq!(distribution(Vec::new()), "<p>none</p>");
    }

    #[test]
    fn a_long_run_has_no_more_points_than_fit() {
        let picture = rates(&[("posted", (0..10_000).map(|s| s * 1000).collect())]);
        assert!(picture.matches(',').count() <= POINTS);
    }
}
