//! Waits for a condition, instead of for a fixed time.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long to wait between two attempts.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `observe` again and again until it finds something, and returns that.
///
/// `what` completes the sentence "waited in vain for …". An attempt that fails counts as one that has found
/// nothing yet. The error at the end contains the last one's.
///
/// # Errors
/// When `observe` has found nothing `within` that time.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut observe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        let last = match observe().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(error) => format!("; the last look failed: {error:#}"),
        };
        if begin.elapsed() >= within {
            bail!("waited {} s in vain for {what}{last}", within.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn what_comes_later_is_found() {
        let mut looks = 0;
        let found = eventually("the third look", Duration::from_secs(10), || {
            looks += 1;
            let found = (looks == 3).then_some(looks);
            async move { Ok(found) }
        })
        .await;
        assert_eq!(found.unwrap(), 3);
    }

    #[tokio::test]
    async fn what_never_comes_is_named_with_the_last_error() {
        let observe = || async { Err::<Option<()>, _>(anyhow::anyhow!("no such queue")) };
        let error = eventually("the first SMS", Duration::ZERO, observe)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("in vain for the first SMS"), "{error}");
        assert!(error.contains("no such queue"), "{error}");
    }
}
