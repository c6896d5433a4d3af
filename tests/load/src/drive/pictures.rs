//! The charts of the report, as SVG.

use hdrhistogram::Histogram;
use plotters::prelude::*;

use crate::latency::seconds;

/// The size of a chart, in pixels.
const SIZE: (u32, u32) = (800, 220);

/// How many steps a line has at most.
const STEPS: u64 = 40;

/// The colours of the lines of a chart, which has no more lines.
const COLOURS: [RGBColor; 6] = [BLUE, RED, GREEN, MAGENTA, CYAN, BLACK];

/// A rate is counted over at least a second, in microseconds.
const SHORTEST_RATE_STEP: u64 = 1_000_000;

/// The line of one kind of SMS: its name and its corners.
type ChartLine<'a> = (&'a str, Vec<(f64, f64)>);

/// How many SMS took how long, of latencies in microseconds.
///
/// # Errors
/// When it cannot be drawn.
pub fn distribution(took: &Histogram<u64>) -> anyhow::Result<String> {
    let corners = steps(took, took.max() / STEPS + 1);
    let in_milliseconds = corners.map(|(at, count)| (at * 1000.0, count));
    chart("ms", &[("SMS", in_milliseconds.collect())])
}

/// How many SMS of each kind there were a second, of times since the first in microseconds.
///
/// # Errors
/// When it cannot be drawn.
pub fn rates(kinds: &[(&str, Histogram<u64>)]) -> anyhow::Result<String> {
    let longest = kinds.iter().map(|(_, times)| times.max()).max();
    let width = (longest.unwrap_or(0) / STEPS + 1).max(SHORTEST_RATE_STEP);
    let line = |times| steps(times, width).map(|(at, count)| (at, count / seconds(width)));
    let lines: Vec<ChartLine<'_>> = kinds
        .iter()
        .map(|(name, times)| (*name, line(times).collect()))
        .collect();
    chart("s", &lines)
}

/// How many values are in each range of this width, in microseconds: two corners for each range, at
/// its begin and at its end, in seconds.
fn steps(values: &Histogram<u64>, width: u64) -> impl Iterator<Item = (f64, f64)> {
    values.iter_linear(width).flat_map(move |step| {
        let end = step.value_iterated_to() + 1;
        let count = u32::try_from(step.count_since_last_iteration()).unwrap_or(u32::MAX);
        [end.saturating_sub(width), end].map(|at| (seconds(at), f64::from(count)))
    })
}

fn chart(unit: &str, lines: &[ChartLine<'_>]) -> anyhow::Result<String> {
    let corners = || lines.iter().flat_map(|(_, corners)| corners);
    let right = corners().map(|(at, _)| *at).fold(0.0, f64::max);
    let top = corners().map(|(_, count)| *count).fold(1.0, f64::max);
    if corners().all(|(_, count)| *count == 0.0) {
        return Ok("<p>none</p>".to_owned());
    }
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, 50)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc(unit)
        .draw()?;
    for ((name, corners), colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(corners.iter().copied(), colour))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    drop(chart);
    drop(area);
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::histogram;

    fn of_milliseconds(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        histogram(values.into_iter().map(Duration::from_millis)).unwrap()
    }

    #[test]
    fn every_value_is_in_a_step() {
        let took = of_milliseconds([1, 2, 2, 100]);
        let corners: Vec<(f64, f64)> = steps(&took, took.max() / STEPS + 1).collect();
        let total: f64 = corners.iter().step_by(2).map(|(_, count)| count).sum();
        assert_eq!(total.round(), 4.0);
        assert!(distribution(&took).unwrap().contains("<polyline"));
        assert!(
            distribution(&of_milliseconds([5, 5]))
                .unwrap()
                .contains("<polyline")
        );
        assert_eq!(distribution(&of_milliseconds([])).unwrap(), "<p>none</p>");
    }

    #[test]
    fn a_long_run_has_no_more_steps_than_fit() {
        let times = of_milliseconds((0..10_000).map(|second| second * 1000));
        let most = usize::try_from(STEPS).unwrap();
        assert!(steps(&times, times.max() / STEPS + 1).count() <= 2 * most);
        assert!(rates(&[("posted", times)]).unwrap().contains("posted"));
    }
}
