//! The operations of the API, by the method and the path of a request.

use http::Method;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    ListApplications,
    /// Of this application.
    GetApplication(&'a str),
    /// Of this application.
    StartJobRun(&'a str),
    /// Of this application.
    ListJobRuns(&'a str),
    /// Of this application, and of this job run.
    GetJobRun(&'a str, &'a str),
    /// Of this application, and of this job run.
    CancelJobRun(&'a str, &'a str),
    /// An operation that this endpoint does not have, by its name.
    Unsupported(&'static str),
    /// No operation of the API.
    Unknown,
}

impl<'a> Operation<'a> {
    /// Returns the operation of a request.
    pub(crate) fn of(method: &Method, path: &'a str) -> Operation<'a> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", &["applications"]) => Operation::ListApplications,
            ("POST", &["applications"]) => Operation::Unsupported("CreateApplication"),
            ("GET", &["applications", application]) => Operation::GetApplication(application),
            ("PATCH", &["applications", _]) => Operation::Unsupported("UpdateApplication"),
            ("DELETE", &["applications", _]) => Operation::Unsupported("DeleteApplication"),
            ("POST", &["applications", _, "start"]) => Operation::Unsupported("StartApplication"),
            ("POST", &["applications", _, "stop"]) => Operation::Unsupported("StopApplication"),
            ("GET", &["applications", _, "dashboard"]) => Operation::Unsupported("GetResourceDashboard"),
            ("POST", &["applications", application, "jobruns"]) => Operation::StartJobRun(application),
            ("GET", &["applications", application, "jobruns"]) => Operation::ListJobRuns(application),
            ("GET", &["applications", application, "jobruns", id]) => Operation::GetJobRun(application, id),
            ("DELETE", &["applications", application, "jobruns", id]) => Operation::CancelJobRun(application, id),
            ("GET", &["applications", _, "jobruns", _, "dashboard"]) => Operation::Unsupported("GetDashboardForJobRun"),
            ("GET", &["applications", _, "jobruns", _, "attempts"]) => Operation::Unsupported("ListJobRunAttempts"),
            ("POST", &["applications", _, "sessions"]) => Operation::Unsupported("StartSession"),
            ("GET", &["applications", _, "sessions"]) => Operation::Unsupported("ListSessions"),
            ("GET", &["applications", _, "sessions", _]) => Operation::Unsupported("GetSession"),
            ("GET", &["applications", _, "sessions", _, "endpoint"]) => Operation::Unsupported("GetSessionEndpoint"),
            ("DELETE", &["applications", _, "sessions", _]) => Operation::Unsupported("TerminateSession"),
            ("GET", &["tags", ..]) => Operation::Unsupported("ListTagsForResource"),
            ("POST", &["tags", ..]) => Operation::Unsupported("TagResource"),
            ("DELETE", &["tags", ..]) => Operation::Unsupported("UntagResource"),
            _ => Operation::Unknown,
        }
    }

    /// AWS's name of the operation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::ListApplications => "ListApplications",
            Operation::GetApplication(_) => "GetApplication",
            Operation::StartJobRun(_) => "StartJobRun",
            Operation::ListJobRuns(_) => "ListJobRuns",
            Operation::GetJobRun(..) => "GetJobRun",
            Operation::CancelJobRun(..) => "CancelJobRun",
            Operation::Unsupported(name) => name,
            Operation::Unknown => "UnknownOperation",
        }
    }

    /// The application that a supported operation is about.
    pub(super) fn application(self) -> Option<&'a str> {
        match self {
            Operation::GetApplication(application)
            | Operation::StartJobRun(application)
            | Operation::ListJobRuns(application)
            | Operation::GetJobRun(application, _)
            | Operation::CancelJobRun(application, _) => Some(application),
            Operation::ListApplications | Operation::Unsupported(..) | Operation::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_method_and_path() {
        for (method, path, name) in [
            (Method::GET, "/applications", "ListApplications"),
            (Method::POST, "/applications", "CreateApplication"),
            (Method::GET, "/applications/a1", "GetApplication"),
            (Method::POST, "/applications/a1/stop", "StopApplication"),
            (Method::POST, "/applications/a1/jobruns", "StartJobRun"),
            (Method::GET, "/applications/a1/jobruns", "ListJobRuns"),
            (Method::GET, "/applications/a1/jobruns/j1", "GetJobRun"),
            (Method::DELETE, "/applications/a1/jobruns/j1", "CancelJobRun"),
            (Method::GET, "/applications/a1/jobruns/j1/dashboard", "GetDashboardForJobRun"),
            (Method::GET, "/tags/arn%3Aaws%3Aemr-serverless", "ListTagsForResource"),
            (Method::PUT, "/applications/a1/jobruns", "UnknownOperation"),
            (Method::GET, "/", "UnknownOperation"),
        ] {
            assert_eq!(Operation::of(&method, path).name(), name, "{method} {path}");
        }
        assert_eq!(Operation::of(&Method::GET, "/applications/a1/jobruns/j1"), Operation::GetJobRun("a1", "j1"));
    }
}
