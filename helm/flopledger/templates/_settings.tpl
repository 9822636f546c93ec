{{/* What goes into flopledger.toml. Each part's file holds what that part needs, under the names of docs/settings.md. */}}

{{/* A dict → TOML, one setting a line, in order. JSON's strings, numbers, booleans and lists are TOML's as well; a
mapping becomes an inline table. */}}
{{- define "flopledger.toml" -}}
{{- $lines := list -}}
{{- range $name, $value := . -}}
{{- $written := toJson $value -}}
{{- if kindIs "map" $value -}}
{{- $pairs := list -}}
{{- range $key, $inner := $value }}{{ $pairs = append $pairs (printf "%s = %s" (toJson $key) (toJson $inner)) }}{{ end -}}
{{- $written = printf "{ %s }" (join ", " $pairs) -}}
{{- end -}}
{{- $lines = append $lines (printf "%s = %s" $name $written) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end }}

{{/* (list $ .Values.kafka.agent) → how to reach Kafka, as JSON */}}
{{- define "flopledger.settings.kafka" -}}
{{- $kafka := (first .).Values.kafka -}}
{{- $who := last . -}}
{{- $settings := dict "kafka_bootstrap" $kafka.bootstrap "kafka_security" $kafka.security "kafka_topic" $kafka.topic -}}
{{- if $kafka.caSecret.name }}{{ $_ := set $settings "kafka_ca_file" "/etc/flopledger/secrets/kafka/ca.crt" }}{{ end -}}
{{- if $kafka.saslMechanism }}{{ $_ := set $settings "kafka_sasl_mechanism" $kafka.saslMechanism }}{{ end -}}
{{- if $who.username }}{{ $_ := set $settings "kafka_username" $who.username }}{{ end -}}
{{- if $who.passwordSecret.name }}{{ $_ := set $settings "kafka_password_file" "/etc/flopledger/secrets/kafka/password" }}{{ end -}}
{{- if $who.tokenSecret.name }}{{ $_ := set $settings "kafka_token_file" "/etc/flopledger/secrets/kafka/token" }}{{ end -}}
{{- if $who.tlsSecret.name }}
{{- $_ := set $settings "kafka_cert_file" "/etc/flopledger/secrets/kafka/tls.crt" }}
{{- $_ := set $settings "kafka_key_file" "/etc/flopledger/secrets/kafka/tls.key" }}
{{- end -}}
{{- $settings | toJson -}}
{{- end }}

{{/* (list $ .Values.kafka.agent) → the same secrets as sources of a projected volume */}}
{{- define "flopledger.secrets.kafka" -}}
{{- $kafka := (first .).Values.kafka -}}
{{- $who := last . -}}
{{- include "flopledger.secret" (list $kafka.caSecret "kafka/ca.crt") }}
{{- include "flopledger.secret" (list $who.passwordSecret "kafka/password") }}
{{- include "flopledger.secret" (list $who.tokenSecret "kafka/token") }}
{{- with $who.tlsSecret }}
{{- include "flopledger.secret" (list (dict "name" .name "key" .certKey) "kafka/tls.crt") }}
{{- include "flopledger.secret" (list (dict "name" .name "key" .keyKey) "kafka/tls.key") }}
{{- end }}
{{- end }}

{{/* (list $ .Values.clickhouse.collector) → how to reach the ledger's server, as JSON */}}
{{- define "flopledger.settings.clickhouse" -}}
{{- $clickhouse := (first .).Values.clickhouse -}}
{{- $who := ternary (last .) $clickhouse (ne (last .).username "") -}}
{{- $settings := dict "clickhouse_url" $clickhouse.url "clickhouse_user" $who.username -}}
{{- if $clickhouse.cluster }}{{ $_ := set $settings "clickhouse_cluster" $clickhouse.cluster }}{{ end -}}
{{- if $clickhouse.caSecret.name }}{{ $_ := set $settings "clickhouse_ca_file" "/etc/flopledger/secrets/clickhouse/ca.crt" }}{{ end -}}
{{- if $who.passwordSecret.name }}{{ $_ := set $settings "clickhouse_password_file" "/etc/flopledger/secrets/clickhouse/password" }}{{ end -}}
{{- $settings | toJson -}}
{{- end }}

{{- define "flopledger.secrets.clickhouse" -}}
{{- $clickhouse := (first .).Values.clickhouse -}}
{{- $who := ternary (last .) $clickhouse (ne (last .).username "") -}}
{{- include "flopledger.secret" (list $clickhouse.caSecret "clickhouse/ca.crt") }}
{{- include "flopledger.secret" (list $who.passwordSecret "clickhouse/password") }}
{{- end }}

{{/* (list {name, key} "path") → one source of a projected volume, nothing without a name */}}
{{- define "flopledger.secret" -}}
{{- $secret := first . -}}
{{- if $secret.name }}
- secret:
    name: {{ $secret.name }}
    items:
      - key: {{ $secret.key }}
        path: {{ last . }}
{{- end }}
{{- end }}
