//! The two ends of a load test in an AWS account: Medic and Africa's Talking, the same models as everywhere,
//! as one Lambda function behind HTTPS.
//!
//! Lambda recycles an instance of the function whenever it likes, and runs several side by side. So nothing
//! is kept in memory alone: a table has each call that came, with its time and its randomness, and the state
//! of a model follows from its calls. Whoever reads them has the model as it is: each instance, and the driver
//! of the load test on the user's machine. There are no other controls, so that nobody on the internet finds any.

pub mod africastalking;
pub mod call;
pub mod medic;
pub mod table;
