//! What an error of the SDK is to the ledger.

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};

use crate::adapters::aws::describe;
use crate::ports::LedgerError;

pub fn failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> LedgerError {
    LedgerError(describe(error))
}

pub fn unsendable(_: BuildError) -> LedgerError {
    LedgerError("a request that could not be built".to_owned())
}
