//! The route of a request, and of what its headers may make of it.

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

use super::Gateway;
use crate::config::Route;
use crate::error::Error;
use crate::http::method;
use crate::http::path::PathProblem;
use crate::route::Found;

impl Gateway {
    /// The route that a request takes. A service that believes `X-HTTP-Method-Override` would see another method than the route was
    /// chosen by: that one must lead to the same route.
    ///
    /// # Errors
    /// There is none, none for the method, or not the same for every way to read path and method.
    pub(super) fn route(
        &self,
        host: Option<&str>,
        path: &str,
        parts: &Parts,
    ) -> Result<&Arc<Route>, Error> {
        let find = |method: &Method| match self.routes.find(host, path, method) {
            Found::Route(route) => Ok(route),
            Found::Resembles(stricter) => {
                Err(PathProblem::Resembles(stricter.path.to_string()).into())
            }
            Found::OtherMethods(allow) => Err(Error::MethodNotAllowed { allow }),
            Found::Nothing => Err(Error::NoRoute),
        };
        let route = find(&parts.method)?;
        for method in method::overrides(&parts.headers)? {
            if !Arc::ptr_eq(find(&method)?, route) {
                return Err(Error::BadRequest(
                    "the headers name another method, which is another route's",
                ));
            }
        }
        Ok(route)
    }
}
