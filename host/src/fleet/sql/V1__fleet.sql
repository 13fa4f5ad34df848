-- What the nodes of an application are to run, and what they say they run.
-- Only hosts read and write here; see the module `fleet`.

-- The state is text, not json: its bytes are what is signed.
CREATE TABLE warmlink.desired (
    application text NOT NULL,
    manifest text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    state text NOT NULL,
    mac text NOT NULL,
    proposed_at timestamptz,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (application, manifest)
);

CREATE TABLE warmlink.revision (
    application text NOT NULL,
    component text NOT NULL,
    digest text NOT NULL,
    bytes bytea NOT NULL,
    note text,
    node text NOT NULL,
    deployed_at timestamptz NOT NULL,
    PRIMARY KEY (application, component, digest)
);

-- Written by every node every few seconds: rows stay small, and their pages
-- keep room for the next version of each.
CREATE TABLE warmlink.node (
    application text NOT NULL,
    instance text NOT NULL,
    node text NOT NULL,
    manifest text NOT NULL,
    seen_at timestamptz NOT NULL,
    report text NOT NULL,
    PRIMARY KEY (application, instance)
) WITH (fillfactor = 50);
