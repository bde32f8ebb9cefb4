//! What a server says when it refuses a namespace: `{message, data?}`, or only text.

use std::collections::BTreeMap;

use syncline_protocol::{ErrorCode, WireError};

use crate::argument::Argument;
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::transport::Payload;

/// A refusal, as the client acts on it and as the app sees it.
#[derive(Debug)]
pub(in crate::engine) struct Refusal {
    pub(in crate::engine) error: Error,
    /// The `data` of the server's error, unless it is too large.
    pub(in crate::engine) data: Option<Argument>,
}

impl Refusal {
    /// `data.code` decides what the refusal means, or the message where that begins with a code
    /// (`unauthorized: the token has expired`). Without either it counts as `unauthorized`: refusing is what a
    /// backend's auth middleware is for.
    pub(in crate::engine) fn read(payload: Option<&Payload>, settings: &Settings) -> Self {
        let said = payload.and_then(|payload| Argument::from_payload(payload).ok());
        let (message, data) = match said {
            Some(Argument::String(message)) => (Some(message), None),
            Some(Argument::Object(mut fields)) => (text(fields.remove("message")), fields.remove("data")),
            _ => (None, None),
        };
        let details = data.as_ref().and_then(object);
        let code = details.and_then(|details| text(details.get("code").cloned()));
        let spelled = message.as_deref().and_then(|message| message.split(": ").next());
        let code = match code {
            Some(code) if settings.auth_error_codes.contains(&code) => ErrorCode::Unauthorized,
            Some(code) => ErrorCode::from_wire(&code).unwrap_or(ErrorCode::Unknown),
            None => spelled.and_then(ErrorCode::from_wire).unwrap_or(ErrorCode::Unauthorized),
        };
        let retry_after_ms = details.and_then(|details| match details.get("retry_after_ms") {
            Some(Argument::Int(ms)) => u64::try_from(*ms).ok(),
            _ => None,
        });
        let message = message.unwrap_or_else(|| "the server refused the connection".to_owned());
        let error = Error::from(WireError { code, message, retry_after_ms });
        let fits = |data: &Argument| data.byte_len() as u64 <= settings.refusal_data_bytes_max;
        Self { error, data: data.filter(fits) }
    }
}

/// The error in an answer, if it is one: `{error: {code?, message?}}`, `{error: "text"}`, or `{ok: false, message?}`.
pub(in crate::engine) fn error_of_answer(args: &[Argument]) -> Option<Error> {
    let fields = object(args.first()?)?;
    let refused = |message: Option<&Argument>| {
        let message = text(message.cloned()).unwrap_or_else(|| "the server refused".to_owned());
        Error::new(Code::Forbidden, message)
    };
    match fields.get("error") {
        Some(Argument::Object(error)) => {
            let Some(Argument::String(code)) = error.get("code") else {
                return Some(refused(error.get("message")));
            };
            let message = text(error.get("message").cloned()).unwrap_or_else(|| code.clone());
            let retry_after_ms = match error.get("retry_after_ms") {
                Some(Argument::Int(ms)) => u64::try_from(*ms).ok(),
                _ => None,
            };
            let code = ErrorCode::from_wire(code).unwrap_or(ErrorCode::Forbidden);
            Some(Error::from(WireError { code, message, retry_after_ms }))
        }
        Some(Argument::Null) | None => {
            (fields.get("ok") == Some(&Argument::Bool(false))).then(|| refused(fields.get("message")))
        }
        Some(error) => Some(refused(Some(error))),
    }
}

fn object(argument: &Argument) -> Option<&BTreeMap<String, Argument>> {
    match argument {
        Argument::Object(fields) => Some(fields),
        _ => None,
    }
}

fn text(argument: Option<Argument>) -> Option<String> {
    match argument {
        Some(Argument::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::transport::Parser;

    fn read(said: &Value, settings: &Settings) -> Refusal {
        Refusal::read(Some(&Payload::encode(Parser::Json, said).unwrap()), settings)
    }

    #[test]
    fn a_refusal_means_what_its_code_says_and_without_one_the_token() {
        let settings = Settings { auth_error_codes: vec!["TOKEN_OLD".to_owned()], ..Settings::default() };
        for (said, code) in [
            (json!({"message": "no"}), Code::Unauthorized),
            (json!("no"), Code::Unauthorized),
            (json!("unavailable: later"), Code::Unavailable),
            (json!({"message": "no", "data": {"code": "forbidden"}}), Code::Forbidden),
            (json!({"message": "no", "data": {"code": "TOKEN_OLD"}}), Code::Unauthorized),
            (json!({"message": "no", "data": {"code": "maintenance"}}), Code::Invalid),
            (json!({"message": "no", "data": {"code": 7}}), Code::Unauthorized),
            (json!({"message": "no", "data": "why"}), Code::Unauthorized),
        ] {
            assert_eq!(read(&said, &settings).error.code, code, "{said}");
        }
        assert_eq!(Refusal::read(None, &settings).error.code, Code::Unauthorized);
    }

    #[test]
    fn what_a_refusal_carries_is_kept_unless_it_is_too_large() {
        let said = json!({"message": "no", "data": {"plan": "free", "limit": 3}});
        let refusal = read(&said, &Settings::default());
        assert_eq!(refusal.error.message, "no");
        let kept = serde_json::to_value(refusal.data.unwrap()).unwrap();
        assert_eq!(kept, said["data"]);
        let small = Settings { refusal_data_bytes_max: 10, ..Settings::default() };
        assert_eq!(read(&said, &small).data, None);
    }

    #[test]
    fn an_answer_with_an_error_is_one_in_the_usual_spellings() {
        let read = |answer: Value| error_of_answer(&[serde_json::from_value(answer).unwrap()]);
        for (answer, code) in [
            (json!({"error": {"code": "not_found", "message": "no"}}), Code::NotFound),
            (json!({"error": {"message": "no"}}), Code::Forbidden),
            (json!({"error": "no"}), Code::Forbidden),
            (json!({"ok": false, "message": "no"}), Code::Forbidden),
        ] {
            let error = read(answer).unwrap();
            assert_eq!((error.code, error.message.as_str()), (code, "no"));
        }
        for fine in [json!({"ok": true}), json!({"error": null}), json!(null), json!("joined")] {
            assert_eq!(read(fine), None);
        }
        assert_eq!(error_of_answer(&[]), None);
    }
}
