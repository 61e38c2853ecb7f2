"""Who may do what: the one table of roles and permissions. A route declares the permission it needs, and is closed
to everybody without one.

`opt={"permission": "keys.edit"}` on a route of the management API names a row below. `OWN` is for what is about the
signed-in user alone. docs/roles.md is this table for people; a test compares the two, and walks every route.
"""

OWN = "own"

OF_ORGANIZATIONS: dict[str, frozenset[str]] = {
    permission: frozenset(roles.split())
    for permission, roles in {
        "organization.view": "owner admin billing developer viewer",
        "organization.leave": "admin billing developer viewer",
        "organization.edit": "owner admin",
        "organization.transfer": "owner",
        "organization.delete": "owner",
        "members.view": "owner admin billing developer viewer",
        "members.edit": "owner admin",
        "invitations.view": "owner admin",
        "invitations.edit": "owner admin",
        "keys.view": "owner admin developer viewer",
        "keys.edit": "owner admin developer",
        "models.call": "owner admin developer",
        "models.view": "owner admin billing developer viewer",
        "usage.view": "owner admin billing developer viewer",
        "wallet.view": "owner admin billing developer viewer",
        "audit.view": "owner admin",
    }.items()
}
"""Of a member, by the role in the organization that the request is about."""

OF_OPERATORS: dict[str, frozenset[str]] = {
    permission: frozenset(roles.split())
    for permission, roles in {
        "admin.overview.view": "superadmin support finance read-only",
        "admin.users.view": "superadmin support finance read-only",
        "admin.users.edit": "superadmin support",
        "admin.keys.view": "superadmin support finance read-only",
        "admin.keys.edit": "superadmin support",
        "admin.users.impersonate": "superadmin support",
        "admin.users.erase": "superadmin",
        "admin.users.grant": "superadmin",
        "admin.organizations.view": "superadmin support finance read-only",
        "admin.organizations.edit": "superadmin support",
        "admin.organizations.plan": "superadmin finance",
        "admin.wallets.view": "superadmin support finance read-only",
        "admin.wallets.adjust": "superadmin finance",
        "admin.requests.view": "superadmin support finance read-only",
        "admin.ledger.view": "superadmin support finance read-only",
        "admin.ledger.verify": "superadmin finance",
        "admin.alerts.view": "superadmin support finance read-only",
        "admin.alerts.acknowledge": "superadmin finance",
        "admin.plans.view": "superadmin support finance read-only",
        "admin.plans.edit": "superadmin finance",
        "admin.prices.view": "superadmin support finance read-only",
        "admin.prices.edit": "superadmin finance",
        "admin.models.view": "superadmin support finance read-only",
        "admin.models.edit": "superadmin",
        "admin.upstreams.view": "superadmin support finance read-only",
        "admin.upstreams.edit": "superadmin",
        "admin.audit.view": "superadmin support finance read-only",
    }.items()
}
"""Of an operator, by the user's own role on the platform."""

ORGANIZATION_ROLES = ("owner", "admin", "billing", "developer", "viewer")
OPERATOR_ROLES = ("superadmin", "support", "finance", "read-only")


def permissions_of(*, organization_role: str, operator_role: str) -> list[str]:
    """Return what these roles may do, in the order of the tables."""
    held = ((OF_ORGANIZATIONS, organization_role), (OF_OPERATORS, operator_role))
    return [permission for table, role in held for permission, roles in table.items() if role in roles]


def allows(permission: str | None, *, organization_role: str, operator_role: str) -> bool:
    """Tell whether these roles have the permission; nobody has one that is not in the table."""
    if permission == OWN:
        return True
    if permission in OF_OPERATORS:
        return operator_role in OF_OPERATORS[permission]
    return organization_role in OF_ORGANIZATIONS.get(permission or "", ())
