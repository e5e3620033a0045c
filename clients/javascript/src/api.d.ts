// Made from the OpenAPI document by `python -m tools.client_types`. Do not edit.

export type AppEventType = "verification.created" | "verification.approved" | "verification.expired" | "verification.attempts_exceeded" | "verification.canceled" | "verification.superseded" | "verification.failed" | "verification.reported" | "call.ringing" | "call.answered" | "call.machine" | "call.heard" | "call.ended" | "destination.limited" | "token.created" | "token.rotated" | "token.revoked" | "token.expiring" | "connection.failing";

/** One thing that happened in a call. */
export interface CallEventResponse {
  at: string;
  /** What happened, for people who look for a cause. */
  type: string;
}

/** A call as it was when the event was recorded. One that is over is shown as it ended. */
export interface CallOfEvent {
  call_id: string;
  /** Null for a call that spoke a code of yours. */
  verification_id: string | null;
  /** Masked unless the endpoint has `shows_phones`. */
  phone: string;
  status: CallStatus;
  /** Why it ended, in a sentence. */
  reason: string | null;
  created_at: string;
  ended_at: string | null;
  reference: string | null;
}

/** One call, and what happened in it, oldest first. */
export interface CallResponse {
  call_id: string;
  status: CallStatus;
  /** Why the call ended, or waits again, in a sentence. */
  reason: string | null;
  created_at: string;
  ended_at: string | null;
  events: CallEventResponse[];
}

export type CallStatus = "queued" | "dialing" | "ringing" | "answered" | "speaking" | "completed" | "no_answer" | "busy" | "rejected" | "machine" | "failed" | "canceled" | "unknown";

/** A connection whose requests are refused. It is told of again only after one was accepted. */
export interface ConnectionOfEvent {
  connection_id: string;
  user_id: string;
  /** Such as `supabase`. */
  kind: string;
  name: string | null;
  /** Why the last one was refused. */
  reason: string;
}

/** What is wrong with one field of the request. */
export interface ErrorDetail {
  field: string;
  message: string;
}

/** A page of events, newest first; `next_cursor` is null on the last one. */
export interface EventList {
  events: EventResponse[];
  next_cursor: string | null;
}

/** Something that happened, as a webhook carries it too. */
export interface EventResponse {
  event_id: string;
  type: AppEventType;
  timestamp: string;
  user_id: string;
  /** It grows with each event of the same verification or token. */
  sequence: number | null;
  /** What it is about, as the API returns it. Null where that was deleted since. */
  data: Record<string, unknown> | null;
}

/** One language, and the countries (ISO 3166) whose phones hear it when a send names no other. */
export interface LanguageResponse {
  locale: string;
  name: string;
  countries: string[];
}

/** Every language that calls speak. `default` is for the phones of all other countries. */
export interface LanguagesResponse {
  default: string;
  languages: LanguageResponse[];
}

/** A limit of calls that was reached. */
export interface LimitOfEvent {
  user_id: string;
  /** `all`, a country (ISO 3166), or the start of a block of numbers. */
  destination: string;
  /** Such as `100 per hour`. */
  limit: string;
  until: string;
}

/** What became of the code at your side. */
export interface OutcomeRequest {
  approved: boolean;
}

/** Which verification. */
export interface ReplayRequest {
  phone?: string | null;
  verification_id?: string | null;
  session?: string | null;
}

/** What was reported of a code that the other side had made. */
export interface ReportOfEvent {
  call_id: string;
  /** Masked. */
  phone: string;
  approved: boolean;
  reference: string | null;
}

/** Whom to call, and what to say. A phone is enough. */
export interface SendRequest {
  /** International form, written leniently; national form only where DEFAULT_REGION is set. */
  phone: string;
  /** Spoken instead of the default text. `{code}`, at most twice, stands for the digits; where it is missing they follow the text. With fewer than two, the digits are read again at the end. No SSML, no control characters, no other placeholder. */
  message?: string | null;
  /** Instead of `message`: the name of a text that the operator of this service has written. */
  message_template?: string | null;
  /** BCP 47. A language that is not in `GET /api/languages` falls back to that of the phone's country, else to English. */
  locale?: string | null;
  /** False: a `locale` that is not spoken here is refused and places no call. Default: `true`. */
  locale_fallback?: boolean;
  /** How many digits. Default: `6`. */
  code_length?: number;
  /** Seconds that the code is valid. Default: `300`. */
  expires_in?: number;
  /** Your own id for this verification, such as an order number. It is in every response. */
  reference?: string | null;
  session?: string | null;
}

/** The phone is being called. */
export interface SendResponse {
  verification_id: string;
  call_id: string;
  status: "pending";
  call_status: CallStatus;
  phone: string;
  expires_at: string;
  /** Seconds that are left of it. */
  expires_in: number;
  attempts_remaining: number;
  replays_remaining: number;
  /** The language that the call speaks, one of `GET /api/languages`. */
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed, and nobody has proven it. */
  is_test: boolean;
  /** A sentence for people. Never what is spoken, never the code. */
  message: string;
}

/** Whom to call, and which code to say. */
export interface SpeakRequest {
  phone: string;
  /** 4 to 10 digits and letters from A to Z, as text, in capital or small letters. Spaces and hyphens between them are not read. Letters are spelled: “B as in Bravo”. */
  code: string;
  /** BCP 47. A language that is not in `GET /api/languages` falls back to that of the phone's country. */
  locale?: string | null;
  /** Who is calling: one of the names that the operator allows (BRAND_NAMES). Default: BRAND_NAME. */
  brand?: string | null;
  /** Your own id for this call. */
  reference?: string | null;
  /** Seconds in which it may be spoken. Default: `300`. */
  expires_in?: number;
}

/** The phone is being called. */
export interface SpeakResponse {
  call_id: string;
  call_status: CallStatus;
  phone: string;
  expires_at: string;
  /** Seconds from the request to `expires_at`. */
  expires_in: number;
  /** The language that the call speaks, one of `GET /api/languages`. */
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed. */
  is_test: boolean;
}

/** One thing that happened in a call. */
export interface SpokenCallEvent {
  at: string;
  type: string;
}

/** A call that spoke a code of yours, and what happened in it. Never the code. */
export interface SpokenCallResponse {
  call_id: string;
  status: CallStatus;
  /** Why the call ended, or waits again, in a sentence. */
  reason: string | null;
  phone: string;
  created_at: string;
  expires_at: string;
  ended_at: string | null;
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed. */
  is_test: boolean;
  /** What you reported; null is nothing yet. */
  approved: boolean | null;
  /** Oldest first. */
  events: SpokenCallEvent[];
}

/** The record of a token. */
export interface TokenResponse {
  token_id: string;
  user_id: string;
  name: string | null;
  prefix: string;
  created_at: string;
  last_used: string | null;
  expires_at: string | null;
  revoked_at: string | null;
  scopes: ("read" | "write" | "calls:read" | "otp:send" | "otp:verify" | "otp:replay" | "otp:speak" | "calls:cancel" | "tokens:read" | "tokens:write" | "test_numbers:write" | "webhooks:write" | "connections:write" | "admin")[];
  requests_total: number;
  /** The account whose person, or whose token, created it. Null for who has no account. */
  created_by: string | null;
  /** Whether it is refused because that account is disabled. */
  suspended: boolean;
  /** Null is any address. */
  allowed_ips: string[] | null;
  /** Null is the installation's default. */
  rate_limit: string | null;
  /** Null is the installation's default. */
  custom_message: "on" | "templates" | "off" | null;
  /** The token that created this one. */
  parent_id: string | null;
  /** The token that replaced this one in a rotation. */
  successor_id: string | null;
}

/** A page of verifications, newest first; `next_cursor` is null on the last one. */
export interface VerificationListResponse {
  verifications: VerificationSummary[];
  next_cursor: string | null;
}

/** A verification, as the API returns it but for its phone. */
export interface VerificationOfEvent {
  verification_id: string;
  /** Masked unless the endpoint has `shows_phones`. */
  phone: string;
  status: VerificationStatus;
  created_at: string;
  expires_at: string;
  approved_at: string | null;
  attempts_remaining: number;
  replays_remaining: number;
  /** As it was sent. */
  locale: string | null;
  /** The language that the call speaks, one of `GET /api/languages`. */
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed, and nobody has proven it. */
  is_test: boolean;
}

/** A verification with its calls, or a call that spoke a code of yours. */
export type VerificationOrCall = VerificationResponse | SpokenCallResponse;

/** A verification as it stands now, with its calls. */
export interface VerificationResponse {
  verification_id: string;
  phone: string;
  status: VerificationStatus;
  created_at: string;
  expires_at: string;
  approved_at: string | null;
  attempts_remaining: number;
  replays_remaining: number;
  /** As it was sent. */
  locale: string | null;
  /** The language that the call speaks, one of `GET /api/languages`. */
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed, and nobody has proven it. */
  is_test: boolean;
  /** Oldest first. */
  calls: CallResponse[];
}

export type VerificationStatus = "pending" | "approved" | "expired" | "attempts_exceeded" | "canceled" | "superseded" | "failed";

/** A verification as it stands now. */
export interface VerificationSummary {
  verification_id: string;
  phone: string;
  status: VerificationStatus;
  created_at: string;
  expires_at: string;
  approved_at: string | null;
  attempts_remaining: number;
  replays_remaining: number;
  /** As it was sent. */
  locale: string | null;
  /** The language that the call speaks, one of `GET /api/languages`. */
  spoken_locale: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed, and nobody has proven it. */
  is_test: boolean;
}

/** Which verification, and what the person typed. */
export interface VerifyRequest {
  phone?: string | null;
  verification_id?: string | null;
  session?: string | null;
  /** 4 to 10 digits, as text. Spaces and hyphens between them are ignored. */
  code: string;
}

/** The code was right, and this verification takes no other. */
export interface VerifyResponse {
  verified: true;
  status: "approved";
  verification_id: string;
  phone: string;
  approved_at: string;
  reference: string | null;
  /** Whether the phone is a test number: no call was placed, and nobody has proven it. */
  is_test: boolean;
}

/** The filters of `list_verifications`. */
export interface ListVerificationsQuery {
  /** The most items to return. */
  limit?: number;
  /** `next_cursor` of the previous page. */
  cursor?: string;
  /** Only this phone's. */
  phone?: string;
  /** Only verifications with this status. */
  status?: VerificationStatus;
  /** Only verifications with this reference. */
  reference?: string;
}

/** The filters of `list_events`. */
export interface ListEventsQuery {
  /** The most items to return. */
  limit?: number;
  /** `next_cursor` of the previous page. */
  cursor?: string;
  /** Only events of this type. */
  type?: AppEventType;
  /** Only events from this time on. */
  from?: string;
  /** Only events before this time. */
  to?: string;
  /** Only events of this verification and its calls. */
  verification_id?: string;
}

type EventOf<Type, Data> = Omit<EventResponse, "type" | "data"> & { type: Type; data: Data };

/** What a webhook carries, by its `type`. */
export type WebhookEvent =
  | EventOf<"verification.created", VerificationOfEvent | null>
  | EventOf<"verification.approved", VerificationOfEvent | null>
  | EventOf<"verification.expired", VerificationOfEvent | null>
  | EventOf<"verification.attempts_exceeded", VerificationOfEvent | null>
  | EventOf<"verification.canceled", VerificationOfEvent | null>
  | EventOf<"verification.superseded", VerificationOfEvent | null>
  | EventOf<"verification.failed", VerificationOfEvent | null>
  | EventOf<"verification.reported", ReportOfEvent | null>
  | EventOf<"call.ringing", CallOfEvent | null>
  | EventOf<"call.answered", CallOfEvent | null>
  | EventOf<"call.machine", CallOfEvent | null>
  | EventOf<"call.heard", CallOfEvent | null>
  | EventOf<"call.ended", CallOfEvent | null>
  | EventOf<"destination.limited", LimitOfEvent | null>
  | EventOf<"token.created", TokenResponse | null>
  | EventOf<"token.rotated", TokenResponse | null>
  | EventOf<"token.revoked", TokenResponse | null>
  | EventOf<"token.expiring", TokenResponse | null>
  | EventOf<"connection.failing", ConnectionOfEvent | null>;
