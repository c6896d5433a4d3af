//! What the secret store promises.

use bridge::ports::SecretStore;

use crate::for_both;
use crate::rows::STRANGE;

/// A secret to be tried.
pub trait SecretBench {
    type Store: SecretStore;

    /// Makes it this.
    async fn put(&self, secret: &str);

    /// The secret, as one more reader gets it.
    fn store(&self) -> Self::Store;
}

for_both! { on_a_secret:
    a_secret_comes_as_it_was_filled_in
    a_secret_is_read_freshly_every_time
}

async fn a_secret_comes_as_it_was_filled_in(bench: impl SecretBench) {
    for secret in ["{\"key\":\"k\"}", " plain\n", "{", STRANGE] {
        bench.put(secret).await;
        assert_eq!(bench.store().fetch().await.unwrap(), secret);
    }
}

async fn a_secret_is_read_freshly_every_time(bench: impl SecretBench) {
    let store = bench.store();
    for number in 0..5 {
        let secret = format!("secret {number}");
        bench.put(&secret).await;
        assert_eq!(store.fetch().await.unwrap(), secret);
    }
}
