"""What Django's models cannot say: which states of a listing follow each other, evidence that stays as it was written,
and the categories to begin with."""

from django.db import migrations

# A listing's own revisions only; checked at commit, since a listing and its first revision need each other.
OWN = """
ALTER TABLE marketplace_listings
    ADD CONSTRAINT listings_latest_own FOREIGN KEY (id, latest_id)
    REFERENCES marketplace_listing_revisions (listing_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT listings_published_own FOREIGN KEY (id, published_id)
    REFERENCES marketplace_listing_revisions (listing_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
OWN_BACK = """
ALTER TABLE marketplace_listings DROP CONSTRAINT listings_latest_own, DROP CONSTRAINT listings_published_own;
"""

# The edges of marketplace/partners/transitions.py, as status/change.
STEPS = """
CREATE FUNCTION marketplace_listing_edges() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[
        'draft/>draft/', 'draft/>submitted/', 'draft/>withdrawn/',
        'submitted/>draft/', 'submitted/>published/', 'submitted/>rejected/', 'submitted/>withdrawn/',
        'rejected/>draft/', 'rejected/>submitted/', 'rejected/>withdrawn/',
        'published/>published/draft', 'published/>suspended/', 'published/>withdrawn/',
        'published/draft>published/draft', 'published/draft>published/submitted', 'published/draft>published/',
        'published/draft>suspended/draft', 'published/draft>withdrawn/',
        'published/submitted>published/draft', 'published/submitted>published/',
        'published/submitted>published/rejected', 'published/submitted>suspended/submitted',
        'published/submitted>withdrawn/',
        'published/rejected>published/draft', 'published/rejected>published/submitted', 'published/rejected>published/',
        'published/rejected>suspended/rejected', 'published/rejected>withdrawn/',
        'suspended/>suspended/draft', 'suspended/>published/', 'suspended/>withdrawn/',
        'suspended/draft>suspended/draft', 'suspended/draft>suspended/submitted', 'suspended/draft>suspended/',
        'suspended/draft>published/draft', 'suspended/draft>withdrawn/',
        'suspended/submitted>suspended/draft', 'suspended/submitted>published/',
        'suspended/submitted>suspended/rejected', 'suspended/submitted>published/submitted',
        'suspended/submitted>withdrawn/',
        'suspended/rejected>suspended/draft', 'suspended/rejected>suspended/submitted', 'suspended/rejected>suspended/',
        'suspended/rejected>published/rejected', 'suspended/rejected>withdrawn/',
        'withdrawn/>draft/'
    ];
$$;
CREATE FUNCTION marketplace_check_listing_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM becomes WHERE status <> 'draft' OR change <> '' OR version <> 1) THEN
            RAISE EXCEPTION 'a listing begins as a draft' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF EXISTS (
        SELECT FROM was JOIN becomes USING (id)
        WHERE NOT was.status || '/' || was.change || '>' || becomes.status || '/' || becomes.change
              = ANY (marketplace_listing_edges())
           OR becomes.version <> was.version + 1
           OR (becomes.slug, becomes.partner_id, becomes.created_at) <> (was.slug, was.partner_id, was.created_at)
    ) OR EXISTS (SELECT FROM was WHERE id NOT IN (SELECT id FROM becomes)) THEN
        RAISE EXCEPTION 'a listing goes by its steps' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER listings_begin AFTER INSERT ON marketplace_listings
    REFERENCING NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION marketplace_check_listing_steps();
CREATE TRIGGER listings_steps AFTER UPDATE ON marketplace_listings
    REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION marketplace_check_listing_steps();
CREATE TRIGGER listings_kept BEFORE DELETE OR TRUNCATE ON marketplace_listings
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE marketplace_listings ENABLE ALWAYS TRIGGER listings_begin;
ALTER TABLE marketplace_listings ENABLE ALWAYS TRIGGER listings_steps;
ALTER TABLE marketplace_listings ENABLE ALWAYS TRIGGER listings_kept;
"""
STEPS_BACK = """
DROP TRIGGER listings_begin ON marketplace_listings;
DROP TRIGGER listings_steps ON marketplace_listings;
DROP TRIGGER listings_kept ON marketplace_listings;
DROP FUNCTION marketplace_check_listing_steps();
DROP FUNCTION marketplace_listing_edges();
"""

APPEND_ONLY_TABLES = (
    "marketplace_listing_revisions", "marketplace_listing_transitions", "marketplace_listing_images",
)


def append_only(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""


CATEGORIES = """
INSERT INTO marketplace_categories (code, name, position) VALUES
    ('integrations', 'Integrations', 1), ('automation', 'Automation', 2), ('analytics', 'Analytics', 3),
    ('data', 'Data', 4), ('security', 'Security and compliance', 5), ('services', 'Services', 6);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_evidence"), ("marketplace", "0001_partners")]

    operations = [
        migrations.RunSQL(OWN, OWN_BACK),
        migrations.RunSQL(STEPS, STEPS_BACK),
        *(
            migrations.RunSQL(append_only(table), f"DROP TRIGGER {table}_append_only ON {table};")
            for table in APPEND_ONLY_TABLES
        ),
        migrations.RunSQL(CATEGORIES, "DELETE FROM marketplace_categories;"),
    ]
