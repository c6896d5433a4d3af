//! Medic and Africa's Talking, as the handlers call them.

use std::rc::Rc;

use bridge::domain::time::millis;
use bridge::ports::{
    AfricasTalking, AfricasTalkingAccount, CredentialsError, Medic, Response, Sms,
};
use bridge::secrets::credentials::{AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME};

use super::{Ctx, POST_UNCONFIRMED};
use crate::executor::Slot;
use crate::faults::PortCall;
use crate::world::World;
use crate::{africas_talking, medic};

/// Medic's API.
pub struct SimMedic(pub Rc<Ctx>);

impl Medic for SimMedic {
    async fn post(&self, body: String) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        let fields = [MEDIC_USERNAME, MEDIC_PASSWORD];
        let login = self.0.credentials.fields(fields).await?;
        let timeout_ms = millis(world.settings.post_timeout);
        self.0.touches(PortCall::Post, || body.clone()).await;
        let sent = self.0.call(PortCall::Post, || {
            world.note(|| format!("#{} posts {body}", self.0.task.get()));
            if !self.0.is_confirmed.get() {
                world.count(|| POST_UNCONFIRMED.to_owned());
            }
            medic::post(world, &login, &body, timeout_ms)
        });
        Ok(self.0.response(sent.await).await)
    }
}

/// Africa's Talking's API.
pub struct SimAfricasTalking(pub Rc<Ctx>);

impl AfricasTalking for SimAfricasTalking {
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        let [api_key] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let task = self.0.task.get();
        self.0.touches(PortCall::Sms, || sms.text.to_owned()).await;
        let sent = self.0.call(PortCall::Sms, || {
            africas_talking::send(world, task, &api_key, &sms)
        });
        let response = self.0.response(sent.await).await;
        if !is_refused(&response) {
            return Ok(response);
        }
        // As the adapter does it.
        self.0.credentials.read_again().await;
        let [again] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        if again == api_key {
            return Ok(response);
        }
        let sent = self.0.call(PortCall::Sms, || {
            africas_talking::send(world, task, &again, &sms)
        });
        Ok(self.0.response(sent.await).await)
    }
}

impl Ctx {
    /// The response, as the adapters of both APIs take it: credentials that are refused are read
    /// again.
    async fn response(&self, sent: Option<Rc<Slot<Response>>>) -> Response {
        let response = match sent {
            Some(slot) => slot.wait().await,
            None => Response::NotConnected,
        };
        if is_refused(&response) {
            self.credentials.forget();
        }
        response
    }
}

impl AfricasTalkingAccount for SimAfricasTalking {
    async fn user(&self) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        self.0.credentials.read_again().await;
        let [api_key] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let asked = self
            .0
            .call(PortCall::User, || africas_talking::user(world, &api_key));
        match asked.await {
            Some((answer, after_ms)) => {
                world.sleep(after_ms).await;
                Ok(answer)
            }
            None => Ok(Response::NotConnected),
        }
    }
}

fn is_refused(response: &Response) -> bool {
    matches!(response, Response::Answer { status, .. } if matches!(status, 401 | 403))
}

fn credentials(world: &World) -> Result<(), CredentialsError> {
    if world
        .random
        .chance(world.faults.rates.borrow().no_credentials)
    {
        world.count(|| "credentials: out of reach".to_owned());
        return Err(CredentialsError::OutOfReach("no answer".to_owned()));
    }
    Ok(())
}
