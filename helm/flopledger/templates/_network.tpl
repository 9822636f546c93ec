{{/* Pieces of network policies: where a part may go, as rules of egress. */}}

{{- define "flopledger.network.dns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "flopledger.network.kafka" -}}
{{- $ports := .Values.networkPolicy.kafkaPorts -}}
{{- range regexFindAll ":[0-9]+" .Values.kafka.bootstrap -1 }}{{ $ports = append $ports (trimPrefix ":" . | int) }}{{ end -}}
- ports:
    {{- range $ports | uniq }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.kafkaTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "flopledger.network.clickhouse" -}}
{{- $url := urlParse .Values.clickhouse.url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
- ports:
    - port: {{ default (ternary "8443" "8123" (eq $url.scheme "https")) $port }}
      protocol: TCP
  {{- with .Values.networkPolicy.clickhouseTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* (list $ "agent" port) → who may scrape and probe that port */}}
{{- define "flopledger.network.metrics" -}}
- ports:
    - port: {{ last . }}
      protocol: TCP
  {{- with (first .).Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* (list $ "collector") → metadata and selector of a policy for that part; the migration's is there before the release */}}
{{- define "flopledger.network.head" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "flopledger.metadata" . | nindent 2 }}
  {{- if eq (last .) "migrate" }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "-10"
    helm.sh/hook-delete-policy: before-hook-creation
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- include "flopledger.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}
