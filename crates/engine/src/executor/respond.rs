//! Answers from here.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use vane_core::graph::NodeId;
use vane_core::graph::render::render;
use vane_core::rules::action::{Redirect, Respond, RespondBody};
use vane_core::value::template::Template;

use crate::executor::{Matched, unix_ms};
use crate::response::{ResponseBody, plain};

impl Matched<'_> {
    /// Carries out `respond`.
    pub(super) fn respond(&self, node: NodeId, respond: &Respond) -> Response<ResponseBody> {
        let body = match &respond.body {
            RespondBody::Template(template) => Bytes::from(self.value(template)),
            RespondBody::File(_) => self.flow.program.body(node).cloned().unwrap_or_default(),
        };
        let typed = respond.headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE);
        let text = !body.is_empty() && !typed && matches!(respond.body, RespondBody::Template(_));
        let mut response = Response::new(ResponseBody::whole(body));
        *response.status_mut() = respond.status;
        if text {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
        }
        for (name, template) in &respond.headers {
            self.append(&mut response, name, template);
        }
        response
    }

    /// Carries out `redirect`.
    pub(super) fn redirect(&self, redirect: &Redirect) -> Response<ResponseBody> {
        let Ok(location) = HeaderValue::from_str(&self.value(&redirect.to)) else {
            let rule = &self.flow.program.graph.rule(self.rule).name;
            tracing::warn!(%rule, "the redirect's target is no legal header value");
            return plain(StatusCode::BAD_REQUEST);
        };
        let mut response = Response::new(ResponseBody::whole(Bytes::new()));
        *response.status_mut() = redirect.status;
        response.headers_mut().insert(header::LOCATION, location);
        response
    }

    fn append(
        &self,
        response: &mut Response<ResponseBody>,
        name: &HeaderName,
        template: &Template,
    ) {
        match HeaderValue::from_str(&self.value(template)) {
            Ok(value) => drop(response.headers_mut().append(name, value)),
            Err(_) => tracing::warn!(%name, "a rendered value is no legal header value"),
        }
    }

    fn value(&self, template: &Template) -> String {
        render(template, &self.draft.facts(&self.flow.facts), unix_ms)
    }
}
